package files

import (
	"hash/crc32"
	"runtime"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// castagnoli is the checksum of both formats; processors have an instruction for it.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// maxPooled is the largest buffer that is kept for the next user.
const maxPooled = 2 << 20

// encoderOptions: fast rather than small, and little memory. Both formats have
// checksums of their own, over the compressed bytes.
var encoderOptions = []zstd.EOption{
	zstd.WithEncoderLevel(zstd.SpeedFastest),
	zstd.WithWindowSize(1 << 20),
	zstd.WithLowerEncoderMem(true),
	zstd.WithEncoderCRC(false),
}

// encoder and decoder work block by block, without goroutines, and hold state
// for as many blocks at a time as there are processors, however many readers
// and writers there are.
var encoder = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, append(encoderOptions[:len(encoderOptions):len(encoderOptions)],
		zstd.WithEncoderConcurrency(runtime.GOMAXPROCS(0)))...)
	if err != nil {
		panic(err) // the options are constants
	}
	return e
})

var decoder = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(0),
		zstd.WithDecoderLowmem(true),
		zstd.WithDecodeAllCapLimit(true)) // never more than the announced length
	if err != nil {
		panic(err)
	}
	return d
})

// decode decompresses what must come to exactly n bytes, into buf if it is
// large enough.
func decode(stored, buf []byte, n int) ([]byte, bool) {
	if cap(buf) < n {
		buf = make([]byte, 0, n)
	}
	out, err := decoder().DecodeAll(stored, buf[:0:n])
	return out, err == nil && len(out) == n
}

// grow returns buf with length n, made anew if it is too small.
func grow(buf []byte, n int) []byte {
	if cap(buf) < n {
		return make([]byte, n)
	}
	return buf[:n]
}

// buffers are a reader's, taken from a pool while it is open.
type buffers struct{ stored, raw []byte }

var bufferPool = sync.Pool{New: func() any { return new(buffers) }}

func (b *buffers) release() {
	if cap(b.stored) > maxPooled {
		b.stored = nil
	}
	if cap(b.raw) > maxPooled {
		b.raw = nil
	}
	bufferPool.Put(b)
}
