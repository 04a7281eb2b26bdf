"""The byte layout of an RLSimion log; all numbers are little-endian. See docs/formats/simion.md."""

from __future__ import annotations

import enum
import struct
from typing import Final

WORD: Final = 8
HEAD_WORDS: Final = 16  # every header of the data file is padded with zeros to 16 words
HEAD: Final = HEAD_WORDS * WORD

# The highest counts that are accepted from a header: the largest real log has about a hundred variables.
MAX_VARIABLES: Final = 2**16
MAX_FUNCTION_VALUES: Final = 2**24


class Magic(enum.IntEnum):
    """The first word of a record of the data file."""

    EXPERIMENT = 1
    EPISODE = 2
    STEP = 3
    EPISODE_END = 4


#                         word
EXPERIMENT: Final = struct.Struct(
    "<"
    "q"  # magic           0      1
    "q"  # version         1      1 or 2
    "q"  # episodes        2      how many are planned; a killed run has fewer
    "104x"  # padding      3
)  #                      16

EPISODES_AT: Final = 2 * WORD  # the offset of that number, which a writer may correct

EPISODE: Final = struct.Struct(
    "<"
    "q"  # magic           0      2
    "q"  # type            1      0 evaluation, 1 training
    "q"  # index           2      from 1; of an evaluation, the number of the evaluation
    "q"  # variables       3      how many doubles follow each step
    "q"  # sub_index       4      from 1, of the episodes of one evaluation; 0 in version 1
    "88x"  # padding       5
)  #                      16

STEP: Final = struct.Struct(
    "<"
    "q"  # magic           0      3
    "q"  # step            1      from 1; has gaps, as steps are sampled
    "d"  # experiment_real_time   2      seconds since the experiment began
    "d"  # episode_sim_time       3      simulated seconds since the episode began
    "d"  # episode_real_time      4      seconds since the episode began
    "88x"  # padding       5
)  #                      16      then one double for each variable, in the descriptor's order

EPISODE_END: Final = struct.Struct(
    "<"
    "q"  # magic           0      4
    "120x"  # padding      1
)  #                      16

# Places of the step's index, its clocks and its padding among the words of a step record.
STEP_INDEX: Final = 1
STEP_CLOCKS: Final = slice(2, 5)
STEP_PADDING: Final = slice(5, HEAD_WORDS)

CLOCKS: Final = ("experiment_real_time", "episode_sim_time", "episode_real_time")
STEP_KEYS: Final = ("step", *CLOCKS)


class FunctionMagic(enum.IntEnum):
    """The first word of a record of the function log."""

    HEADER = 4321
    DECLARATION = 5432
    SAMPLE = 6543


FUNCTIONS: Final = struct.Struct(
    "<"
    "q"  # magic           0      4321
    "q"  # version         8      1
    "q"  # count          16      of declarations
)  #                      24

DECLARATION: Final = struct.Struct(
    "<"
    "q"  # magic           0      5432
    "q"  # id              8      the id in this function's samples
    "128s"  # name        16      ends with a NUL; what follows that is whatever the memory held
    "q"  # x             144      samples along x
    "q"  # y             152
    "q"  # z             160      1 in every file seen
)  #                     168

SAMPLE: Final = struct.Struct(
    "<"
    "q"  # magic           0      6543
    "q"  # episode         8      index of the evaluation; 0 when there are only training episodes
    "q"  # step           16
    "q"  # experiment_step 24     steps of all episodes since the experiment began
    "q"  # id             32
)  #                      40      then x * y * z doubles, x fastest
