/* For libFuzzer: any bytes as a block; the first ones say where its frames begin, and which columns are wanted. */
#include "extract.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    int64_t offset[64], length[64];
    if (size < 2) return 0;
    size_t frames = data[0] % 64, head = 2 + 2 * frames, at = 0;
    if (size < head) return 0;
    uint8_t *block = malloc(size - head + 1); /* of its own, so that a byte too far is seen */
    memcpy(block, data + head, size - head);
    for (size_t i = 0; i < frames; i++) {
        length[i] = 13 + data[2 + 2 * i];
        offset[i] = (int64_t)at + (int8_t)data[3 + 2 * i] / 16;
        at += (size_t)length[i];
    }
    bytes wanted[2] = {{(const uint8_t *)"a", 1}, {(const uint8_t *)"b/c", 3}};
    extraction out;
    extract(block, size - head, offset, length, frames, data[1] & 1 ? wanted : NULL, data[1] & 1 ? 2 : 0, &out);
    uint64_t sum = 0; /* everything that was found is read once */
    for (uint32_t i = 0; i < out.count; i++) {
        for (uint32_t j = 0; j < out.columns[i].size; j++) sum += out.columns[i].name[j];
        for (piece *p = out.columns[i].pieces; p; p = p->next)
            for (size_t j = 0; j < p->rows; j++) {
                sum += (uint64_t)p->row[j] + p->place[j];
                for (size_t k = 0; k < p->width; k++) sum += p->values[j * p->width + k];
                if (p->tag == TEXT || p->tag == BYTES) {
                    uint32_t span[2];
                    memcpy(span, p->values + j * p->width, 8);
                    for (uint32_t k = 0; k < span[1]; k++) sum += block[span[0] + k];
                }
            }
    }
    volatile uint64_t sink = sum;
    (void)sink;
    extraction_free(&out);
    free(block);
    return 0;
}
