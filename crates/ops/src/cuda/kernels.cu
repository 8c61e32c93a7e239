// The kernels of l0-ops on a GPU, in the part of C that is also C++: the device compiler takes this file as it is when a
// program first needs it, and crates/kernels-check compiles it for the CPU (KERNELS_ON_CPU), where a block has one
// thread, and compares every kernel with the operations of l0-ops there.
//
// Conventions. Numbers are f32 or, where a `kind` stands beside a pointer, f32 (0) or bf16 (1); sums are f32. Images lie
// channels last: `rows` positions (batch, height and width in one) of `c` channels. Channels come in groups of eight, the
// last one incomplete: one 16-byte access for bf16 where c is a multiple of eight. Sums are made in a fixed order, so
// that a launch gives the same bits each time.

typedef unsigned long long u64;
typedef long long i64;
typedef struct { unsigned v[4]; } Words;

#ifdef KERNELS_ON_CPU
#include <math.h>
#include <string.h>
#define KERNEL void
#define DEVICE static inline
#define SHARED
#define SYNC()
#define RESTRICT
static int BX, BY, GX = 1;
enum { TX = 0, TY = 0, NX = 1, NY = 1 };
static inline float from_bits(unsigned bits) { float x; memcpy(&x, &bits, 4); return x; }
static inline unsigned to_bits(float x) { unsigned bits; memcpy(&bits, &x, 4); return bits; }
static inline Words words_at(const void* p) { Words w; memcpy(&w, p, 16); return w; }
static inline void put_words(void* p, Words w) { memcpy(p, &w, 16); }
#else
#define KERNEL extern "C" __global__ void
#define DEVICE static __device__ __forceinline__
#define SHARED __shared__
#define SYNC() __syncthreads()
#define RESTRICT __restrict__
#define BX ((int)blockIdx.x)
#define BY ((int)blockIdx.y)
#define GX ((int)gridDim.x)
#define TX ((int)threadIdx.x)
#define TY ((int)threadIdx.y)
#define NX ((int)blockDim.x)
#define NY ((int)blockDim.y)
DEVICE float from_bits(unsigned bits) { return __uint_as_float(bits); }
DEVICE unsigned to_bits(float x) { return __float_as_uint(x); }
DEVICE Words words_at(const void* p) {
  uint4 q = *(const uint4*)p;
  Words w;
  w.v[0] = q.x; w.v[1] = q.y; w.v[2] = q.z; w.v[3] = q.w;
  return w;
}
DEVICE void put_words(void* p, Words w) { *(uint4*)p = make_uint4(w.v[0], w.v[1], w.v[2], w.v[3]); }
#endif

enum { F32 = 0, BF16 = 1 };
enum { THREADS = 256, WIDE = 8 };

// ---- numbers

DEVICE float from_bf16(unsigned short h) { return from_bits((unsigned)h << 16); }

// Round to nearest, ties to even; what is not a number stays so.
DEVICE unsigned short to_bf16(float x) {
  unsigned b = to_bits(x);
  if ((b & 0x7fffffffu) > 0x7f800000u) return (unsigned short)((b >> 16) | 0x40u);
  return (unsigned short)((b + 0x7fffu + ((b >> 16) & 1u)) >> 16);
}

DEVICE float load(const void* xs, i64 i, int kind) {
  return kind == BF16 ? from_bf16(((const unsigned short*)xs)[i]) : ((const float*)xs)[i];
}

DEVICE void store(void* ys, i64 i, int kind, float y) {
  if (kind == BF16) ((unsigned short*)ys)[i] = to_bf16(y);
  else ((float*)ys)[i] = y;
}

// `count` numbers from place i on, 0 in place of the others; eight are at a multiple of 16 bytes.
DEVICE void load_group(const void* xs, i64 i, int count, int kind, float* out) {
  if (count == WIDE && kind == BF16) {
    Words w = words_at((const unsigned short*)xs + i);
    for (int j = 0; j < 4; j++) {
      out[2 * j] = from_bits(w.v[j] << 16);
      out[2 * j + 1] = from_bits(w.v[j] & 0xffff0000u);
    }
  } else if (count == WIDE) {
    Words a = words_at((const float*)xs + i), b = words_at((const float*)xs + i + 4);
    for (int j = 0; j < 4; j++) {
      out[j] = from_bits(a.v[j]);
      out[4 + j] = from_bits(b.v[j]);
    }
  } else {
    for (int j = 0; j < WIDE; j++) out[j] = j < -count ? load(xs, i + j, kind) : 0.0f;
  }
}

DEVICE void store_group(void* ys, i64 i, int count, int kind, const float* y) {
  if (count == WIDE && kind == BF16) {
    Words w;
    for (int j = 0; j < 4; j++) w.v[j] = (unsigned)to_bf16(y[2 * j]) | ((unsigned)to_bf16(y[2 * j + 1]) << 16);
    put_words((unsigned short*)ys + i, w);
  } else if (count == WIDE) {
    Words a, b;
    for (int j = 0; j < 4; j++) {
      a.v[j] = to_bits(y[j]);
      b.v[j] = to_bits(y[4 + j]);
    }
    put_words((float*)ys + i, a);
    put_words((float*)ys + i + 4, b);
  } else {
    for (int j = 0; j < WIDE; j++)
      if (j < -count) store(ys, i + j, kind, y[j]);
  }
}

// How a group of channels is read: WIDE if the channels allow 16-byte accesses, else minus the number of channels in it.
DEVICE int group_count(int group, int c) {
  int left = c - group * WIDE;
  if (c % WIDE == 0) return WIDE;
  return left < WIDE ? -left : -WIDE;
}

DEVICE int group_len(int count) { return count < 0 ? -count : count; }

// The same for a plain run of n numbers that begins at a multiple of 16 bytes.
DEVICE int run_count(i64 i, i64 n) { return n - i >= WIDE ? WIDE : -(int)(n - i); }

#define EACH_GROUP(i, n) for (i64 i = ((i64)BX * NX + TX) * WIDE; i < (n); i += (i64)GX * NX * WIDE)
#define EACH(i, n) for (i64 i = (i64)BX * NX + TX; i < (n); i += (i64)GX * NX)

// ---- noise: SplitMix64, number i of the stream with this key (crates/rng)

DEVICE u64 mix(u64 x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return x ^ (x >> 31);
}

DEVICE float uniform(u64 key, u64 i) {
  u64 bits = mix(key + (i + 1) * 0x9E3779B97F4A7C15ull);
  return ((float)(unsigned)(bits >> 40) + 0.5f) * (1.0f / 16777216.0f);
}

// ---- number by number

KERNEL cast(void* RESTRICT ys, int ky, const void* RESTRICT xs, int kx, i64 n) {
  EACH_GROUP(i, n) {
    float v[WIDE];
    load_group(xs, i, run_count(i, n), kx, v);
    store_group(ys, i, run_count(i, n), ky, v);
  }
}

KERNEL add(void* RESTRICT ys, int ky, const void* RESTRICT a, int ka, const void* RESTRICT b, int kb, i64 n) {
  EACH_GROUP(i, n) {
    float u[WIDE], v[WIDE];
    load_group(a, i, run_count(i, n), ka, u);
    load_group(b, i, run_count(i, n), kb, v);
    for (int j = 0; j < WIDE; j++) u[j] += v[j];
    store_group(ys, i, run_count(i, n), ky, u);
  }
}

KERNEL relu(void* RESTRICT ys, const void* RESTRICT xs, int kind, i64 n) {
  EACH_GROUP(i, n) {
    float v[WIDE];
    load_group(xs, i, run_count(i, n), kind, v);
    for (int j = 0; j < WIDE; j++) v[j] = v[j] < 0.0f ? 0.0f : v[j];
    store_group(ys, i, run_count(i, n), kind, v);
  }
}

// dx = g where y > 0.
KERNEL relu_back(void* RESTRICT dx, const void* RESTRICT ys, const void* RESTRICT g, int kind, i64 n) {
  EACH_GROUP(i, n) {
    float y[WIDE], v[WIDE];
    load_group(ys, i, run_count(i, n), kind, y);
    load_group(g, i, run_count(i, n), kind, v);
    for (int j = 0; j < WIDE; j++) v[j] = y[j] > 0.0f ? v[j] : 0.0f;
    store_group(dx, i, run_count(i, n), kind, v);
  }
}

// ys = xs gain where the noise is at least p. The noise is numbered as on the CPU, (batch, channel, position), whatever the
// order in memory: (batch, positions, channels) here. The gradient is the same map.
KERNEL dropout(void* RESTRICT ys, const void* RESTRICT xs, int kind, u64 key, float p, float gain, i64 n, int positions,
               int c) {
  EACH(i, n) {
    i64 row = i / c, channel = i % c, image = row / positions, position = row % positions;
    u64 number = (u64)((image * c + channel) * positions + position);
    store(ys, i, kind, uniform(key, number) >= p ? load(xs, i, kind) * gain : 0.0f);
  }
}

// (batch, rows, cols) -> (batch, cols, rows): a thread runs along the shorter side.
KERNEL transpose(void* RESTRICT ys, int ky, const void* RESTRICT xs, int kx, i64 batch, int rows, int cols) {
  int across = rows <= cols, longer = across ? cols : rows, shorter = across ? rows : cols;
  EACH(i, batch * longer) {
    i64 b = i / longer;
    int at = (int)(i % longer);
    for (int j = 0; j < shorter; j++) {
      i64 row = across ? j : at, col = across ? at : j;
      store(ys, (b * cols + col) * rows + row, ky, load(xs, (b * rows + row) * cols + col, kx));
    }
  }
}

// ys[r, ch] = xs[r, ch] + bias[r mod period, ch], then ReLU: a bias (period 1) or one for each position (period h w). ys may be xs.
KERNEL add_bias(void* ys, const void* xs, int kind, const float* RESTRICT bias, i64 rows, int c, int period,
                int then_relu) {
  int groups = (c + WIDE - 1) / WIDE;
  EACH(i, rows * groups) {
    i64 row = i / groups;
    int group = (int)(i % groups), count = group_count(group, c), first = group * WIDE;
    float v[WIDE];
    load_group(xs, row * c + first, count, kind, v);
    for (int j = 0; j < WIDE; j++) {
      if (j < group_len(count)) v[j] += bias[(row % period) * c + first + j];
      if (then_relu && v[j] < 0.0f) v[j] = 0.0f;
    }
    store_group(ys, row * c + first, count, kind, v);
  }
}

// ---- sums over rows
//
// partial[block][which][channel], which = 0 or 1; BY counts chunks of NX groups, BX chunks of `chunk` rows.
//   STATISTICS  d = x - x[0]:            d, d d
//   GRADIENTS   g where ReLU was open:   g, g (x - mean)
//   PLAIN       g:                       g, 0

enum { STATISTICS = 0, GRADIENTS = 1, PLAIN = 2 };

// Adds up what the threads of one column of a block hold; thread 0 of the column has the sums then.
DEVICE void sum_column(float* sums, float* a, float* b) {
  int t = TY * NX + TX;
  for (int j = 0; j < WIDE; j++) {
    sums[j * THREADS + t] = a[j];
    sums[(WIDE + j) * THREADS + t] = b[j];
  }
  SYNC();
  for (int half = NY / 2; half > 0; half /= 2) {
    if (TY < half)
      for (int j = 0; j < 2 * WIDE; j++) sums[j * THREADS + t] += sums[j * THREADS + t + half * NX];
    SYNC();
  }
  for (int j = 0; j < WIDE; j++) {
    a[j] = sums[j * THREADS + t];
    b[j] = sums[(WIDE + j) * THREADS + t];
  }
}

KERNEL column_sums(float* RESTRICT partial, const void* RESTRICT xs, int kx, const void* RESTRICT g, int kg,
                   const float* RESTRICT mean, const float* RESTRICT inverse, const float* RESTRICT scale,
                   const float* RESTRICT shift, int masked, int mode, i64 rows, int c, i64 chunk) {
  SHARED float sums[2 * WIDE * THREADS];
  int groups = (c + WIDE - 1) / WIDE, group = BY * NX + TX, first = group * WIDE;
  float a[WIDE] = {0}, b[WIDE] = {0}, centre[WIDE] = {0}, gain[WIDE] = {0}, offset[WIDE] = {0};
  int count = group < groups ? group_count(group, c) : 0, len = group_len(count);
  if (group < groups) {
    if (mode == STATISTICS) load_group(xs, first, count, kx, centre);
    for (int j = 0; j < WIDE; j++) {
      if (mode != GRADIENTS || j >= len) continue;
      centre[j] = mean[first + j];
      gain[j] = inverse[first + j] * scale[first + j];
      offset[j] = shift[first + j];
    }
    i64 start = BX * chunk, end = start + chunk < rows ? start + chunk : rows;
    for (i64 row = start + TY; row < end; row += NY) {
      float x[WIDE] = {0}, v[WIDE] = {0};
      if (mode != PLAIN) load_group(xs, row * c + first, count, kx, x);
      if (mode != STATISTICS) load_group(g, row * c + first, count, kg, v);
      for (int j = 0; j < WIDE; j++) {
        float d = mode == PLAIN ? 0.0f : x[j] - centre[j];
        if (mode == STATISTICS) v[j] = d;
        if (mode == GRADIENTS && masked && d * gain[j] + offset[j] <= 0.0f) v[j] = 0.0f;
        a[j] += v[j];
        b[j] += v[j] * d;
      }
    }
  }
  sum_column(sums, a, b);
  if (TY == 0)
    for (int j = 0; j < WIDE; j++) {
      if (j >= len) continue;
      partial[((i64)BX * 2) * c + first + j] = a[j];
      partial[((i64)BX * 2 + 1) * c + first + j] = b[j];
    }
}

// The sums of one channel over all blocks; thread 0 of a column has them. NX channels a block.
DEVICE void sum_blocks(const float* partial, int blocks, int c, int channel, float* out) {
  SHARED float sums[2 * THREADS];
  float a = 0.0f, b = 0.0f;
  if (channel < c)
    for (int block = TY; block < blocks; block += NY) {
      a += partial[((i64)block * 2) * c + channel];
      b += partial[((i64)block * 2 + 1) * c + channel];
    }
  int t = TY * NX + TX;
  sums[t] = a;
  sums[THREADS + t] = b;
  SYNC();
  for (int half = NY / 2; half > 0; half /= 2) {
    if (TY < half) {
      sums[t] += sums[t + half * NX];
      sums[THREADS + t] += sums[THREADS + t + half * NX];
    }
    SYNC();
  }
  out[0] = sums[t];
  out[1] = sums[THREADS + t];
}

// Mean, variance without Bessel's correction, and 1 / sqrt(var + eps) of each channel.
KERNEL finish_statistics(float* RESTRICT mean, float* RESTRICT var, float* RESTRICT inverse,
                         const float* RESTRICT partial, int blocks, const void* RESTRICT xs, int kx, i64 rows, int c,
                         float eps) {
  int channel = BX * NX + TX;
  float sums[2];
  sum_blocks(partial, blocks, c, channel, sums);
  if (TY != 0 || channel >= c) return;
  float d = sums[0] / (float)rows, v = sums[1] / (float)rows - d * d;
  v = v < 0.0f ? 0.0f : v;
  mean[channel] = d + load(xs, channel, kx);
  var[channel] = v;
  inverse[channel] = 1.0f / sqrtf(v + eps);
}

// dshift = sum g, dscale = sum g xhat, and the two means that the gradient of xs takes off (0 with given statistics).
KERNEL finish_gradients(float* RESTRICT dscale, float* RESTRICT dshift, float* RESTRICT mean_g,
                        float* RESTRICT mean_gx, const float* RESTRICT partial, int blocks,
                        const float* RESTRICT inverse, i64 rows, int c, int of_batch) {
  int channel = BX * NX + TX;
  float sums[2];
  sum_blocks(partial, blocks, c, channel, sums);
  if (TY != 0 || channel >= c) return;
  float gx = sums[1] * inverse[channel];
  dshift[channel] = sums[0];
  dscale[channel] = gx;
  mean_g[channel] = of_batch ? sums[0] / (float)rows : 0.0f;
  mean_gx[channel] = of_batch ? gx / (float)rows * inverse[channel] : 0.0f;
}

KERNEL finish_sums(float* RESTRICT out, const float* RESTRICT partial, int blocks, int c) {
  int channel = BX * NX + TX;
  float sums[2];
  sum_blocks(partial, blocks, c, channel, sums);
  if (TY == 0 && channel < c) out[channel] = sums[0];
}

// ---- batch normalisation, a thread for a group of channels and every NY-th row of a chunk

KERNEL normalise(void* RESTRICT ys, const void* RESTRICT xs, int kind, const float* RESTRICT mean,
                 const float* RESTRICT inverse, const float* RESTRICT scale, const float* RESTRICT shift, int then_relu,
                 i64 rows, int c, i64 chunk) {
  int groups = (c + WIDE - 1) / WIDE, group = BY * NX + TX, first = group * WIDE;
  if (group >= groups) return;
  int count = group_count(group, c), len = group_len(count);
  float centre[WIDE] = {0}, gain[WIDE] = {0}, offset[WIDE] = {0};
  for (int j = 0; j < WIDE; j++) {
    if (j >= len) continue;
    centre[j] = mean[first + j];
    gain[j] = scale[first + j] * inverse[first + j];
    offset[j] = shift[first + j];
  }
  i64 start = BX * chunk, end = start + chunk < rows ? start + chunk : rows;
  for (i64 row = start + TY; row < end; row += NY) {
    float v[WIDE];
    load_group(xs, row * c + first, count, kind, v);
    for (int j = 0; j < WIDE; j++) {
      v[j] = (v[j] - centre[j]) * gain[j] + offset[j];
      if (then_relu && v[j] < 0.0f) v[j] = 0.0f;
    }
    store_group(ys, row * c + first, count, kind, v);
  }
}

// dx = gain (g - mean g - (x - mean) mean(g xhat) / sd), g = 0 where ReLU closed it.
KERNEL normalise_back(void* RESTRICT dx, const void* RESTRICT xs, int kx, const void* RESTRICT g, int kg,
                      const float* RESTRICT mean, const float* RESTRICT inverse, const float* RESTRICT scale,
                      const float* RESTRICT shift, const float* RESTRICT mean_g, const float* RESTRICT mean_gx,
                      int masked, i64 rows, int c, i64 chunk) {
  int groups = (c + WIDE - 1) / WIDE, group = BY * NX + TX, first = group * WIDE;
  if (group >= groups) return;
  int count = group_count(group, c), len = group_len(count);
  float centre[WIDE] = {0}, gain[WIDE] = {0}, offset[WIDE] = {0}, m[WIDE] = {0}, mx[WIDE] = {0};
  for (int j = 0; j < WIDE; j++) {
    if (j >= len) continue;
    centre[j] = mean[first + j];
    gain[j] = scale[first + j] * inverse[first + j];
    offset[j] = shift[first + j];
    m[j] = mean_g[first + j];
    mx[j] = mean_gx[first + j];
  }
  i64 start = BX * chunk, end = start + chunk < rows ? start + chunk : rows;
  for (i64 row = start + TY; row < end; row += NY) {
    float x[WIDE], v[WIDE];
    load_group(xs, row * c + first, count, kx, x);
    load_group(g, row * c + first, count, kg, v);
    for (int j = 0; j < WIDE; j++) {
      float d = x[j] - centre[j];
      if (masked && d * gain[j] + offset[j] <= 0.0f) v[j] = 0.0f;
      v[j] = gain[j] * (v[j] - m[j] - d * mx[j]);
    }
    store_group(dx, row * c + first, count, kx, v);
  }
}

// ---- mean of each channel of each image

KERNEL mean_rows(float* RESTRICT ys, const void* RESTRICT xs, int kind, i64 images, int positions, int c) {
  EACH(i, images * c) {
    i64 image = i / c, channel = i % c;
    float sum = 0.0f;
    for (int p = 0; p < positions; p++) sum += load(xs, (image * positions + p) * c + channel, kind);
    ys[i] = sum / (float)positions;
  }
}

KERNEL mean_rows_back(void* RESTRICT dx, int kind, const float* RESTRICT g, i64 images, int positions, int c) {
  EACH(i, images * positions * c) {
    i64 image = i / ((i64)positions * c), channel = i % c;
    store(dx, i, kind, g[image * c + channel] / (float)positions);
  }
}

// ---- blocks of a weight, (o, i, taps) in full, (rows, taps, cols) as a block; a null list of units means all of them

KERNEL select_block(float* RESTRICT ys, const float* RESTRICT w, const unsigned* RESTRICT rows,
                    const unsigned* RESTRICT cols, const float* RESTRICT row_scale, const float* RESTRICT col_scale,
                    int n_rows, int n_cols, int taps, int i_full) {
  EACH(at, (i64)n_rows * n_cols) {
    int a = (int)(at / n_cols), b = (int)(at % n_cols);
    int r = rows ? (int)rows[a] : a, c = cols ? (int)cols[b] : b;
    float scale = (row_scale ? row_scale[r] : 1.0f) * (col_scale ? col_scale[c] : 1.0f);
    for (int t = 0; t < taps; t++)
      ys[((i64)a * taps + t) * n_cols + b] = w[((i64)r * i_full + c) * taps + t] * scale;
  }
}

// dw of the full weight; `row_at` and `col_at` say where a unit is in the block, or that it is not (-1).
KERNEL select_weight_back(float* RESTRICT dw, const float* RESTRICT g, const int* RESTRICT row_at,
                          const int* RESTRICT col_at, const float* RESTRICT row_scale,
                          const float* RESTRICT col_scale, int o, int i_full, int n_cols, int taps) {
  EACH(at, (i64)o * i_full) {
    int r = (int)(at / i_full), c = (int)(at % i_full);
    int a = row_at ? row_at[r] : r, b = col_at ? col_at[c] : c;
    float scale = (row_scale ? row_scale[r] : 1.0f) * (col_scale ? col_scale[c] : 1.0f);
    for (int t = 0; t < taps; t++)
      dw[at * taps + t] = a < 0 || b < 0 ? 0.0f : g[((i64)a * taps + t) * n_cols + b] * scale;
  }
}

// The gradient of the scale of each row (or, `by_col`, of each column), a block for each: sum of g w times the other scale.
KERNEL select_scale_back(float* RESTRICT dscale, const float* RESTRICT g, const float* RESTRICT w,
                         const unsigned* RESTRICT rows, const unsigned* RESTRICT cols, const int* RESTRICT at,
                         const float* RESTRICT other, int by_col, int n_rows, int n_cols, int taps, int i_full) {
  SHARED float sums[THREADS];
  int unit = BX, place = at ? at[unit] : unit, others = by_col ? n_rows : n_cols;
  float sum = 0.0f;
  for (int j = TX; place >= 0 && j < others; j += NX) {
    int a = by_col ? j : place, b = by_col ? place : j;
    int r = rows ? (int)rows[a] : a, c = cols ? (int)cols[b] : b;
    float scale = other ? other[by_col ? r : c] : 1.0f;
    for (int t = 0; t < taps; t++)
      sum += g[((i64)a * taps + t) * n_cols + b] * w[((i64)r * i_full + c) * taps + t] * scale;
  }
  sums[TX] = sum;
  SYNC();
  for (int half = NX / 2; half > 0; half /= 2) {
    if (TX < half) sums[TX] += sums[TX + half];
    SYNC();
  }
  if (TX == 0) dscale[unit] = sums[0];
}

// ---- units of a dimension: (outer, total, inner) -> (outer, kept, inner), and back with zeros

KERNEL take_units(void* RESTRICT ys, const void* RESTRICT xs, int kind, const unsigned* RESTRICT units, i64 outer,
                  int total, int kept, i64 inner) {
  EACH(i, outer * kept * inner) {
    i64 in = i % inner, unit = i / inner % kept, out = i / inner / kept;
    store(ys, i, kind, load(xs, (out * total + units[unit]) * inner + in, kind));
  }
}

KERNEL take_units_back(void* RESTRICT dx, const void* RESTRICT g, int kind, const int* RESTRICT place, i64 outer,
                       int total, int kept, i64 inner) {
  EACH(i, outer * total * inner) {
    i64 in = i % inner, out = i / inner / total;
    int at = place[i / inner % total];
    store(dx, i, kind, at < 0 ? 0.0f : load(g, (out * kept + at) * inner + in, kind));
  }
}

// ---- updates in place: one launch for all tensors of a table
//
// Row k of a table has the pointers of tensor k in `ptrs` (param, grad, first, second), its length in `lens` and its
// weight decay in `decays`; a block takes the piece of PIECE numbers that `pieces` (tensor, piece) names.

enum { PIECE = 4096, POINTERS = 4 };

DEVICE float* of(const u64* ptrs, int tensor, int which) { return (float*)ptrs[tensor * POINTERS + which]; }

#define EACH_OF_PIECE(i, len) \
  for (i64 i = (i64)pieces[2 * BX + 1] * PIECE + TX, end_ = (i64)pieces[2 * BX + 1] * PIECE + PIECE; \
       i < end_ && i < (len); i += NX)

KERNEL sgd(const u64* RESTRICT ptrs, const i64* RESTRICT lens, const float* RESTRICT decays,
           const unsigned* RESTRICT pieces, float rate, float momentum, int nesterov) {
  int k = (int)pieces[2 * BX];
  float *p = of(ptrs, k, 0), *g = of(ptrs, k, 1), *u = of(ptrs, k, 2), decay = decays[k];
  EACH_OF_PIECE(i, lens[k]) {
    float grad = (g ? g[i] : 0.0f) + decay * p[i];
    float v = momentum * u[i] + grad;
    u[i] = v;
    p[i] -= rate * (nesterov ? momentum * v + grad : v);
  }
}

KERNEL adam(const u64* RESTRICT ptrs, const i64* RESTRICT lens, const float* RESTRICT decays,
            const unsigned* RESTRICT pieces, float step_size, float beta1, float beta2, float rest1, float rest2,
            float inverse_root, float eps) {
  int k = (int)pieces[2 * BX];
  float *p = of(ptrs, k, 0), *g = of(ptrs, k, 1), *m = of(ptrs, k, 2), *v = of(ptrs, k, 3), decay = decays[k];
  EACH_OF_PIECE(i, lens[k]) {
    float grad = (g ? g[i] : 0.0f) + decay * p[i];
    float first = beta1 * m[i] + rest1 * grad, second = beta2 * v[i] + rest2 * grad * grad;
    m[i] = first;
    v[i] = second;
    p[i] -= step_size * first / (sqrtf(second) * inverse_root + eps);
  }
}

// p += weight (q - p), q the second pointer of a row.
KERNEL lerp(const u64* RESTRICT ptrs, const i64* RESTRICT lens, const float* RESTRICT decays,
            const unsigned* RESTRICT pieces, float weight) {
  int k = (int)pieces[2 * BX];
  float *p = of(ptrs, k, 0), *q = of(ptrs, k, 1);
  (void)decays;
  EACH_OF_PIECE(i, lens[k]) p[i] += weight * (q[i] - p[i]);
}

KERNEL clamp(float* RESTRICT p, i64 n, float low, float high) {
  EACH(i, n) p[i] = p[i] < low ? low : (p[i] > high ? high : p[i]);
}

// running = (1 - rate) running + rate new, `rates` one for each unit or, where null, all of them `rate`. The new value is that
// in `fresh` times `factor`, at the unit's place by `at` (-1: none; null: its own), plus that in `constants`, if there are any.
KERNEL running(float* RESTRICT out, const float* RESTRICT old, const float* RESTRICT fresh, const int* RESTRICT at,
               const float* RESTRICT constants, const float* RESTRICT rates, float rate, float factor, int n) {
  EACH(i, n) {
    int place = fresh ? (at ? at[i] : (int)i) : -1;
    float value = (place < 0 ? 0.0f : fresh[place] * factor) + (constants ? constants[i] : 0.0f);
    float r = rates ? rates[i] : rate;
    out[i] = old[i] * (1.0f - r) + value * r;
  }
}

// ---- images from bytes: (images, c, h, w) bytes -> (batch, h, w, c) numbers, moved and mirrored as placed

KERNEL images(void* RESTRICT ys, int kind, const unsigned char* RESTRICT bytes, const unsigned* RESTRICT indices,
              const int* RESTRICT places, const float* RESTRICT mean, const float* RESTRICT std, i64 batch, int c, int h,
              int w) {
  EACH(i, batch * h * w * c) {
    int ch = (int)(i % c), x = (int)(i / c % w), y = (int)(i / c / w % h);
    i64 b = i / c / w / h;
    int down = places ? places[3 * b] : 0, right = places ? places[3 * b + 1] : 0, flip = places ? places[3 * b + 2] : 0;
    int from_y = y + down, from_x = (flip ? w - 1 - x : x) + right;
    int inside = from_y >= 0 && from_y < h && from_x >= 0 && from_x < w;
    float pixel = inside ? (float)bytes[(((i64)indices[b] * c + ch) * h + from_y) * w + from_x] : 0.0f;
    store(ys, i, kind, (pixel - mean[ch]) / std[ch]);
  }
}

// ---- cross-entropy: a thread for each example

KERNEL cross_entropy(float* RESTRICT losses, const float* RESTRICT logits, const unsigned* RESTRICT labels, i64 batch,
                     int classes) {
  EACH(i, batch) {
    const float* row = logits + i * classes;
    float largest = row[0], sum = 0.0f;
    for (int k = 1; k < classes; k++) largest = row[k] > largest ? row[k] : largest;
    for (int k = 0; k < classes; k++) sum += expf(row[k] - largest);
    losses[i] = labels[i] < (unsigned)classes ? largest + logf(sum) - row[labels[i]] : from_bits(0x7fc00000u);
  }
}

KERNEL cross_entropy_back(float* RESTRICT dx, const float* RESTRICT logits, const unsigned* RESTRICT labels,
                          const float* RESTRICT g, i64 batch, int classes) {
  EACH(i, batch) {
    const float* row = logits + i * classes;
    float largest = row[0], sum = 0.0f, scale = g[0] / (float)batch;
    for (int k = 1; k < classes; k++) largest = row[k] > largest ? row[k] : largest;
    for (int k = 0; k < classes; k++) sum += expf(row[k] - largest);
    for (int k = 0; k < classes; k++)
      dx[i * classes + k] = (expf(row[k] - largest) / sum - (k == (int)labels[i] ? 1.0f : 0.0f)) * scale;
  }
}
