/* Columns out of a block of FLOG frames. Knows nothing of Python, so that it can be fuzzed by itself.
 *
 * Only frames of a plain form are taken: a msgpack map whose keys are distinct strings, and whose values are nil,
 * bools, numbers, strings, bytes, lists and such maps. All others are left to the caller, whose rules are the oracle;
 * so nothing is ever judged damaged here.
 */
#ifndef TRAINLOG_EXTRACT_H
#define TRAINLOG_EXTRACT_H

#include <stddef.h>
#include <stdint.h>

/* What a piece holds: one value of 8 bytes a row for FLOAT to UINT; one byte for BOOL; none for NIL; begin and length of
 * the bytes in the block, as two numbers of 4 bytes, for TEXT and BYTES; COUNT values a row for the lists. */
enum {
    FLOAT = 'f', INT = 'i', UINT = 'u', BOOL = 'b', NIL = 'n', TEXT = 's', BYTES = 'y',
    FLOATS = 'F', SINGLES = 'G', INTS = 'I', BOOLS = 'B'
};

typedef struct piece {
    struct piece *next;
    uint8_t tag;
    uint32_t count;    /* values in a list */
    size_t width;      /* bytes of values in a row */
    size_t rows, room;
    int64_t *row;      /* which frames of the block */
    uint32_t *place;   /* which column of its frame it is: for the order of first sight */
    uint8_t *values;
} piece;

typedef struct {
    const uint8_t *name; /* UTF-8, nested keys joined by a slash */
    uint32_t size, hash;
    uint32_t next;       /* the column that followed it the last time */
    int wanted;
    int64_t seen;        /* the frame that had it last */
    piece *pieces;
} column;

typedef struct {
    column *columns;
    uint32_t count;
    int64_t *left;       /* frames that were not taken */
    size_t lefts;
    void *owned;         /* what the columns point into */
} extraction;

typedef struct { const uint8_t *bytes; size_t size; } bytes;

/* Fill OUT from FRAMES frames. WANTED has the names of WANTEDS columns; NULL for all of them. Returns 0, or -1 when there
 * is no memory. In both cases `extraction_free` has to be called. */
int extract(const uint8_t *block, size_t size, const int64_t *offset, const int64_t *length, size_t frames,
            const bytes *wanted, size_t wanteds, extraction *out);
void extraction_free(extraction *out);

#endif
