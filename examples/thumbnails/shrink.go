package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/image/draw"

	"github.com/gofutures/futures/examples/internal/cli"
	"github.com/gofutures/futures/executor"
)

const (
	// maxPixels is how many a picture may have. A file of a few kilobytes can say
	// that it has billions, and decoding it would take all memory.
	maxPixels = 100_000_000

	jpegQuality = 85
)

// The reasons for which a picture has no thumbnail. They are registered, so that
// errors.Is finds them when they come from a worker process.
var (
	errDecode   = errors.New("does not decode")
	errTooLarge = errors.New("too large")
	errRead     = errors.New("cannot be read")
	errWrite    = errors.New("thumbnail cannot be written")
	errSameName = errors.New("name is taken")

	reasons = []error{errDecode, errTooLarge, errRead, errWrite, errSameName}
)

func init() {
	executor.Register(shrink)
	for _, err := range reasons {
		executor.RegisterError("thumbnails: "+err.Error(), err)
	}
}

// picture is what shrink is to do.
type picture struct {
	Folder string
	Name   string // of the picture below Folder, and of its thumbnail below Output
	Output string
	Temp   string // the name of a temporary file that only this picture has
	Size   int    // the longest edge of the thumbnail
	SameAs string // the picture that has this one's name in Output, if there is one
}

// sizes are those of the files of a picture, in bytes.
type sizes struct{ Picture, Thumbnail int64 }

// shrink makes the thumbnail of a picture. If it returns an error, or its process is
// killed, there is no thumbnail; only in the latter case, there may be a Temp.
func shrink(ctx context.Context, p picture) (sizes, error) {
	if p.SameAs != "" {
		return sizes{}, fmt.Errorf("%w: by %s, which differs only in case", errSameName, p.SameAs)
	}
	f, size, err := open(filepath.Join(p.Folder, p.Name))
	if err != nil {
		return sizes{}, fmt.Errorf("%w: %s", errRead, cli.Reason(err))
	}
	defer f.Close()
	in := &reader{ctx: ctx, file: f}
	out, err := thumbnail(in, p.Size)
	if err != nil {
		return sizes{}, in.explain(err)
	}
	written, err := p.write(ctx, out)
	if err != nil {
		return sizes{}, in.explain(err)
	}
	return sizes{size, written}, nil
}

// open opens a regular file. A named pipe would never end.
func open(path string) (*os.File, int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, errors.New("not a regular file")
	}
	f, err := os.Open(path)
	return f, info.Size(), err
}

// reader reads a file until ctx ends, and so ends a decoder too.
type reader struct {
	ctx  context.Context // of the call that reads
	file *os.File
	err  error // of the file
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.file.Read(p)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

func (r *reader) rewind() error {
	_, r.err = r.file.Seek(0, io.SeekStart)
	return r.err
}

// explain returns why there is no thumbnail, if err is the consequence of something
// else.
func (r *reader) explain(err error) error {
	switch {
	case r.ctx.Err() != nil:
		return r.ctx.Err()
	case r.err != nil:
		return fmt.Errorf("%w: %s", errRead, cli.Reason(r.err))
	}
	return err
}

// thumbnail decodes a picture and returns the content of its thumbnail: of in
// itself, if that is small enough.
func thumbnail(in *reader, size int) (io.Reader, error) {
	config, _, err := image.DecodeConfig(in)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDecode, err)
	}
	if pixels := int64(config.Width) * int64(config.Height); pixels > maxPixels {
		return nil, fmt.Errorf("%w: %d x %d pixels, more than %d megapixels", errTooLarge, config.Width, config.Height, maxPixels/1_000_000)
	}
	if err := in.rewind(); err != nil {
		return nil, err
	}
	full, format, err := image.Decode(in)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDecode, err)
	}
	bounds := fit(full.Bounds(), size)
	if bounds.Size() == full.Bounds().Size() {
		return in, in.rewind()
	}
	small := canvas(full.ColorModel(), bounds)
	draw.CatmullRom.Scale(small, bounds, full, full.Bounds(), draw.Src, nil)
	var out bytes.Buffer
	if format == "png" {
		err = png.Encode(&out, small)
	} else {
		err = jpeg.Encode(&out, small, &jpeg.Options{Quality: jpegQuality})
	}
	return &out, err
}

// fit returns the bounds of a thumbnail: with the longest edge of that size, but not
// larger than the picture, and no edge without a pixel.
func fit(full image.Rectangle, size int) image.Rectangle {
	w, h := full.Dx(), full.Dy()
	longest := max(w, h)
	if longest <= size {
		return image.Rect(0, 0, w, h)
	}
	scaled := func(edge int) int { return max(1, int((int64(edge)*int64(size)+int64(longest)/2)/int64(longest))) }
	return image.Rect(0, 0, scaled(w), scaled(h))
}

// canvas returns an empty picture that keeps what a model can tell apart: gray stays
// gray, and 16 bits stay 16.
func canvas(model color.Model, bounds image.Rectangle) draw.Image {
	switch model {
	case color.GrayModel:
		return image.NewGray(bounds)
	case color.Gray16Model:
		return image.NewGray16(bounds)
	case color.RGBA64Model, color.NRGBA64Model:
		return image.NewNRGBA64(bounds)
	}
	return image.NewNRGBA(bounds)
}
