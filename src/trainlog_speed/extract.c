#include "extract.h"

#include <stdlib.h>
#include <string.h>

#define HEAD 13       /* bytes before a frame's payload */
#define DEEPEST 32
#define LONGEST 1024  /* bytes of a name, joined */
#define COLUMNS 4096
#define SLOTS 16384   /* a power of two, four times the columns */
#define PROBES 64     /* so many keys of one hash, and a frame is left */

typedef struct {
    uint32_t column, place, count, size;
    uint64_t value;
    const uint8_t *at;
    uint8_t tag;
} field;

typedef struct {
    const uint8_t *block, *end;
    const bytes *wanted;
    size_t wanteds;
    extraction *out;
    uint32_t *slots;
    field *fields;
    size_t count, room;
    int64_t row;
    uint32_t last, place;
    int no_memory;
    uint8_t name[LONGEST];
} walk;

static uint64_t big(const uint8_t *at, int width) {
    uint64_t value = 0;
    while (width--) value = value << 8 | *at++;
    return value;
}

static uint64_t big8(const uint8_t *at) {
    uint64_t value;
    memcpy(&value, at, 8);
    return __builtin_bswap64(value);
}

static int64_t as_signed(uint64_t value, int width) {
    int shift = 64 - 8 * width;
    uint64_t sign = (uint64_t)1 << (8 * width - 1);
    return shift ? (int64_t)((value ^ sign) - sign) : (int64_t)value;
}

static uint64_t bits_of(double value) { uint64_t bits; memcpy(&bits, &value, 8); return bits; }
static float as_float(uint32_t bits) { float value; memcpy(&value, &bits, 4); return value; }

/* A nil, bool or number at AT: its tag, value, and where it ends; 0 when there is something else. */
static int scalar(const uint8_t *at, const uint8_t *end, uint64_t *value, const uint8_t **behind) {
    uint8_t m = *at;
    if (m == 0xcb) {
        if (end - at < 9) return 0;
        *value = big8(at + 1);
        *behind = at + 9;
        return FLOAT;
    }
    if (m < 0x80 || m >= 0xe0) {
        *value = m < 0x80 ? m : (uint64_t)((int64_t)m - 256);
        *behind = at + 1;
        return INT;
    }
    if (m == 0xc0 || m == 0xc2 || m == 0xc3) {
        *value = m == 0xc3;
        *behind = at + 1;
        return m == 0xc0 ? NIL : BOOL;
    }
    if (m < 0xca || m > 0xd3) return 0;
    int width = m == 0xca ? 4 : 1 << ((m - 0xcc) & 3);
    if (end - at < 1 + width) return 0;
    uint64_t raw = big(at + 1, width);
    *behind = at + 1 + width;
    if (m == 0xca) {
        *value = bits_of((double)as_float((uint32_t)raw));
        return FLOAT;
    }
    *value = m >= 0xd0 ? (uint64_t)as_signed(raw, width) : raw;
    return m == 0xcf && raw >> 63 ? UINT : INT;
}

/* The size of a string or of bytes at AT, whose content begins at BEHIND; its tag, or 0. */
static int text(const uint8_t *at, const uint8_t *end, uint32_t *size, const uint8_t **behind) {
    uint8_t m = *at;
    int width, tag = TEXT;
    if (m >= 0xa0 && m <= 0xbf) {
        *size = m & 31;
        *behind = at + 1;
        return (size_t)(end - *behind) >= *size ? TEXT : 0;
    }
    if (m >= 0xd9 && m <= 0xdb) width = 1 << (m - 0xd9);
    else if (m >= 0xc4 && m <= 0xc6) width = 1 << (m - 0xc4), tag = BYTES;
    else return 0;
    if (end - at < 1 + width) return 0;
    *size = (uint32_t)big(at + 1, width);
    *behind = at + 1 + width;
    return (size_t)(end - *behind) >= *size ? tag : 0;
}

/* Whether a list (FIX 0x90) or map (FIX 0x80) begins at AT; how many entries it claims. */
static int sized(const uint8_t *at, const uint8_t *end, uint8_t fix, uint32_t *count, const uint8_t **behind) {
    uint8_t m = *at, m16 = fix == 0x90 ? 0xdc : 0xde;
    int width = 0;
    if ((m & 0xf0) == fix) *count = m & 15;
    else if (m == m16 || m == m16 + 1) {
        width = m == m16 ? 2 : 4;
        if (end - at < 1 + width) return 0;
        *count = (uint32_t)big(at + 1, width);
    } else return 0;
    *behind = at + 1 + width;
    return *count <= (size_t)(end - *behind);
}

/* Where the value at AT ends; NULL when it is not of the plain form. */
static const uint8_t *skip(const uint8_t *at, const uint8_t *end, int depth) {
    uint64_t value;
    uint32_t count;
    const uint8_t *behind;
    if (at >= end || depth > DEEPEST) return NULL;
    if (scalar(at, end, &value, &behind)) return behind;
    if (text(at, end, &count, &behind)) return behind + count;
    int is_map = sized(at, end, 0x80, &count, &behind);
    if (!is_map && !sized(at, end, 0x90, &count, &behind)) return NULL;
    for (at = behind; count--;) {
        if (is_map) {
            uint32_t size;
            if (at >= end || text(at, end, &size, &behind) != TEXT) return NULL;
            at = behind + size;
        }
        if (!(at = skip(at, end, depth + 1))) return NULL;
    }
    return at;
}

/* The list of numbers of which COUNT are behind AT: what it becomes, or 0. A list becomes what its values need, all
 * together: single precision, ints, bools, or else doubles. */
static int list(const uint8_t *at, const uint8_t *end, uint32_t count, const uint8_t **behind) {
    unsigned seen = 0;
    if (!count) return 0;
    while (count--) {
        uint64_t value;
        if (at >= end) return 0;
        uint8_t m = *at;
        switch (scalar(at, end, &value, &at)) {
            case FLOAT: seen |= m == 0xca ? 1 : 2; break;
            case INT: seen |= 4; break;
            case UINT: seen |= 16; break;
            case BOOL: seen |= 8; break;
            default: return 0;
        }
    }
    *behind = at;
    switch (seen) {
        case 1: return SINGLES;
        case 4: return INTS;
        case 8: return BOOLS;
    }
    return seen & 24 ? 0 : FLOATS;
}

static uint32_t hash_of(const uint8_t *name, uint32_t size) {
    uint32_t hash = 2166136261u;
    while (size--) hash = (hash ^ *name++) * 16777619u;
    return hash ? hash : 1;
}

static int is_name(const column *one, const uint8_t *name, uint32_t size) {
    return one->size == size && !memcmp(one->name, name, size);
}

typedef struct block_of_names { struct block_of_names *next; uint8_t bytes[]; } block_of_names;

/* The number of the column NAME, which is begun at first sight; -1 when there are too many. */
static int64_t column_of(walk *w, const uint8_t *name, uint32_t size, int nested) {
    extraction *out = w->out;
    uint32_t guess = out->columns[w->last].next;
    if (guess < out->count && is_name(&out->columns[guess], name, size)) return w->last = guess;
    uint32_t hash = hash_of(name, size), slot = hash & (SLOTS - 1), found;
    for (int probe = 0; (found = w->slots[slot]); slot = (slot + 1) & (SLOTS - 1)) {
        found--;
        if (out->columns[found].hash == hash && is_name(&out->columns[found], name, size)) goto known;
        if (++probe == PROBES) return -1;
    }
    if (out->count == COLUMNS) return -1;
    if (nested) {
        block_of_names *copy = malloc(sizeof *copy + size);
        if (!copy) return w->no_memory = 1, -1;
        copy->next = out->owned;
        out->owned = copy;
        memcpy(copy->bytes, name, size);
        name = copy->bytes;
    }
    found = out->count++;
    w->slots[slot] = out->count;
    int wanted = !w->wanted;
    for (size_t i = 0; i < w->wanteds && !wanted; i++)
        wanted = w->wanted[i].size == size && !memcmp(w->wanted[i].bytes, name, size);
    out->columns[found] = (column){name, size, hash, 0, wanted, -1, NULL};
known:
    out->columns[w->last].next = found;
    return w->last = found;
}

static piece *piece_of(column *one, uint8_t tag) {
    piece *found = one->pieces;
    while (found && found->tag != tag) found = found->next;
    return found;
}

/* Walk a map of COUNT entries at AT; NULL when the frame is to be left. */
static const uint8_t *map(walk *w, const uint8_t *at, const uint8_t *end, uint32_t count, uint32_t prefix, int depth) {
    if (depth > DEEPEST) return NULL;
    while (count--) {
        uint32_t size, inner;
        const uint8_t *key, *behind;
        if (at >= end || text(at, end, &size, &key) != TEXT) return NULL;
        at = key + size;
        if (at >= end) return NULL;
        if (prefix) {
            if (size > LONGEST - prefix) return NULL;
            memcpy(w->name + prefix, key, size);
            key = w->name;
            size += prefix;
        }
        int64_t number = column_of(w, key, size, prefix > 0);
        if (number < 0) return NULL;
        column *one = &w->out->columns[number];
        if (one->seen == w->row) return NULL; /* the same column twice */
        one->seen = w->row;
        uint32_t place = w->place++;
        if (sized(at, end, 0x80, &inner, &behind) && inner) {
            if (size > LONGEST - 1) return NULL;
            if (!prefix) memcpy(w->name, key, size);
            w->name[size] = '/';
            if (!(at = map(w, behind, end, inner, size + 1, depth + 1))) return NULL;
            continue;
        }
        if (!one->wanted) {
            if (!(at = skip(at, end, depth))) return NULL;
            continue;
        }
        if (w->count == w->room) {
            size_t room = w->room ? 2 * w->room : 256;
            field *fields = realloc(w->fields, room * sizeof *fields);
            if (!fields) return w->no_memory = 1, NULL;
            w->fields = fields;
            w->room = room;
        }
        field *f = &w->fields[w->count++];
        *f = (field){.column = (uint32_t)number, .place = place};
        if ((f->tag = (uint8_t)scalar(at, end, &f->value, &behind))) at = behind;
        else if ((f->tag = (uint8_t)text(at, end, &f->size, &behind))) f->at = behind, at = behind + f->size;
        else if (sized(at, end, 0x90, &f->count, &behind) && (f->tag = (uint8_t)list(behind, end, f->count, &at)))
            f->at = behind;
        else return NULL;
        piece *known = piece_of(one, f->tag);
        if (known && known->count != f->count) return NULL; /* lists of another length: one shape for each piece */
    }
    return at;
}

static int grown(void **array, size_t room, size_t width) {
    if (width && room > SIZE_MAX / width) return 0;
    void *larger = realloc(*array, room * width ? room * width : 1);
    if (larger) *array = larger;
    return larger != NULL;
}

static size_t width_of(const field *f) {
    switch (f->tag) {
        case NIL: return 0;
        case BOOL: return 1;
        case FLOATS: case INTS: return (size_t)f->count * 8;
        case SINGLES: return (size_t)f->count * 4;
        case BOOLS: return f->count;
    }
    return 8;
}

static void put_list(const field *f, const uint8_t *end, uint8_t *to) {
    const uint8_t *at = f->at;
    for (uint32_t i = 0; i < f->count; i++) {
        uint64_t value = 0;
        uint8_t m = *at;
        if (f->tag == SINGLES) {
            uint32_t bits = (uint32_t)big(at + 1, 4);
            memcpy(to + 4 * (size_t)i, &bits, 4);
            at += 5;
            continue;
        }
        int tag = scalar(at, end, &value, &at);
        if (f->tag == BOOLS) to[i] = m == 0xc3;
        else {
            if (f->tag == FLOATS && tag == INT) value = bits_of((double)(int64_t)value);
            memcpy(to + 8 * (size_t)i, &value, 8);
        }
    }
}

static int put(walk *w, const field *f) {
    column *one = &w->out->columns[f->column];
    piece *p = piece_of(one, f->tag);
    if (!p) {
        if (!(p = calloc(1, sizeof *p))) return 0;
        *p = (piece){.next = one->pieces, .tag = f->tag, .count = f->count, .width = width_of(f)};
        one->pieces = p;
    }
    if (p->rows == p->room) {
        size_t room = p->room ? 2 * p->room : 16;
        if (!grown((void **)&p->row, room, sizeof *p->row) || !grown((void **)&p->place, room, sizeof *p->place) ||
            !grown((void **)&p->values, room, p->width))
            return 0;
        p->room = room;
    }
    p->row[p->rows] = w->row;
    p->place[p->rows] = f->place;
    uint8_t *to = p->values + p->rows++ * p->width;
    if (f->tag == BOOL) *to = (uint8_t)f->value;
    else if (f->tag == TEXT || f->tag == BYTES) {
        uint32_t begin = (uint32_t)(f->at - w->block);
        memcpy(to, &begin, 4);
        memcpy(to + 4, &f->size, 4);
    } else if (f->count) put_list(f, w->end, to);
    else if (f->tag != NIL) memcpy(to, &f->value, 8);
    return 1;
}

/* Whether the frame was taken. */
static int frame(walk *w, size_t size, int64_t offset, int64_t length) {
    const uint8_t *at, *end;
    uint32_t count;
    if (offset < 0 || length <= HEAD || (uint64_t)offset > size || (uint64_t)length > size - (uint64_t)offset) return 0;
    at = w->block + offset + HEAD;
    end = w->block + offset + length;
    w->count = w->place = w->last = 0;
    if (!sized(at, end, 0x80, &count, &at)) return 0;
    if (map(w, at, end, count, 0, 0) != end) return 0;
    for (size_t i = 0; i < w->count; i++)
        if (!put(w, &w->fields[i])) return w->no_memory = 1, 0;
    return 1;
}

int extract(const uint8_t *block, size_t size, const int64_t *offset, const int64_t *length, size_t frames,
            const bytes *wanted, size_t wanteds, extraction *out) {
    memset(out, 0, sizeof *out);
    walk *w = calloc(1, sizeof *w);
    out->columns = calloc(COLUMNS, sizeof *out->columns);
    out->left = malloc((frames + 1) * sizeof *out->left);
    if (w && out->columns && out->left && (w->slots = calloc(SLOTS, sizeof *w->slots))) {
        w->block = block;
        w->end = block + size;
        w->wanted = wanted;
        w->wanteds = wanteds;
        w->out = out;
        for (size_t i = 0; i < frames && !w->no_memory; i++) {
            w->row = (int64_t)i;
            if (size > UINT32_MAX || !frame(w, size, offset[i], length[i])) out->left[out->lefts++] = (int64_t)i;
        }
    }
    int failed = !w || !out->columns || !out->left || !w->slots || w->no_memory;
    if (w) {
        free(w->slots);
        free(w->fields);
        free(w);
    }
    return failed ? -1 : 0;
}

void extraction_free(extraction *out) {
    for (uint32_t i = 0; i < out->count; i++)
        for (piece *p = out->columns[i].pieces, *next; p; p = next) {
            next = p->next;
            free(p->row);
            free(p->place);
            free(p->values);
            free(p);
        }
    for (block_of_names *one = out->owned, *next; one; one = next) {
        next = one->next;
        free(one);
    }
    free(out->columns);
    free(out->left);
    memset(out, 0, sizeof *out);
}
