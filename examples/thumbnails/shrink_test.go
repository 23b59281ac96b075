package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"testing"

	"golang.org/x/image/draw"
)

func pngOf(t *testing.T, picture image.Image) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := png.Encode(&out, picture); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func jpegOf(t *testing.T, picture image.Image) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := jpeg.Encode(&out, picture, nil); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// bomb returns a PNG file of some bytes that says that it has 900 megapixels.
func bomb(t *testing.T) []byte {
	file := pngOf(t, flat(1, 1))
	header := file[12:29] // IHDR: its name, the width, the height, and more
	binary.BigEndian.PutUint32(header[4:], 30000)
	binary.BigEndian.PutUint32(header[8:], 30000)
	binary.BigEndian.PutUint32(file[29:], crc32.ChecksumIEEE(header))
	return file
}

var blue = color.NRGBA{20, 40, 200, 255}

// flat returns a blue picture.
func flat(width, height int) image.Image {
	return filled(image.NewNRGBA(image.Rect(0, 0, width, height)), blue)
}

func filled(picture draw.Image, c color.Color) draw.Image {
	draw.Draw(picture, picture.Bounds(), image.NewUniform(c), image.Point{}, draw.Src)
	return picture
}

type kindOfPicture struct {
	name    string
	content []byte
	format  string
	size    image.Point // of the thumbnail
	model   color.Model
	center  color.Color
}

func kindsOfPicture(t *testing.T) []kindOfPicture {
	area := image.Rect(0, 0, 150, 100)
	gray, gray16 := color.Gray{77}, color.Gray16{0x1234}
	deep := color.NRGBA64{0x1234, 0x5678, 0x9abc, 0xdef0}
	palette := image.NewPaletted(area, color.Palette{color.NRGBA{}, blue})
	small := image.Pt(128, 85)
	var stored bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.NoCompression}).Encode(&stored, flat(150, 100)); err != nil {
		t.Fatal(err)
	}
	return []kindOfPicture{
		{"color.jpg", jpegOf(t, flat(150, 100)), "jpeg", small, color.YCbCrModel, blue},
		{"upright.JPEG", jpegOf(t, flat(100, 150)), "jpeg", image.Pt(85, 128), color.YCbCrModel, blue},
		{"gray.jpg", jpegOf(t, filled(image.NewGray(area), gray)), "jpeg", small, color.GrayModel, gray},
		{"color.png", pngOf(t, flat(150, 100)), "png", small, color.RGBAModel, blue},
		{"plain.png", stored.Bytes(), "png", small, color.RGBAModel, blue},
		{"gray.png", pngOf(t, filled(image.NewGray(area), gray)), "png", small, color.GrayModel, gray},
		{"gray16.png", pngOf(t, filled(image.NewGray16(area), gray16)), "png", small, color.Gray16Model, gray16},
		{"deep.PNG", pngOf(t, filled(image.NewNRGBA64(area), deep)), "png", small, color.NRGBA64Model, deep},
		{"palette.png", pngOf(t, palette), "png", small, color.NRGBAModel, color.NRGBA{}},
		{"line.png", pngOf(t, flat(500, 1)), "png", image.Pt(128, 1), color.RGBAModel, blue},
		{"dot.png", pngOf(t, flat(1, 1)), "png", image.Pt(1, 1), color.RGBAModel, blue},
		{"fits.jpg", jpegOf(t, flat(128, 100)), "jpeg", image.Pt(128, 100), color.YCbCrModel, blue},
		{"really-a-jpeg.png", jpegOf(t, flat(150, 100)), "jpeg", small, color.YCbCrModel, blue},
	}
}

func TestThumbnailsKeepFormatShapeDepthAndColor(t *testing.T) {
	in, out := t.TempDir(), t.TempDir()
	for _, c := range kindsOfPicture(t) {
		write(t, in, c.name, c.content)
	}
	mustRun(t, 0, "-o", out, in)
	thumbnails := tree(t, out)
	for _, c := range kindsOfPicture(t) {
		t.Run(c.name, func(t *testing.T) {
			got, format, err := image.Decode(bytes.NewReader(thumbnails[c.name]))
			if err != nil {
				t.Fatal(err)
			}
			size := got.Bounds().Size()
			if format != c.format || size != c.size || got.ColorModel() != c.model {
				t.Errorf("%s %v %T; want %s %v", format, size, got, c.format, c.size)
			}
			if at := got.At(size.X/2, size.Y/2); distance(at, c.center) > 0x400 {
				t.Errorf("its color is %v, want %v", at, c.center)
			}
		})
	}
}

// distance returns how much the most different channel of two colors differs.
func distance(a, b color.Color) (d int) {
	var x, y [4]uint32
	x[0], x[1], x[2], x[3] = a.RGBA()
	y[0], y[1], y[2], y[3] = b.RGBA()
	for i := range x {
		d = max(d, int(x[i])-int(y[i]), int(y[i])-int(x[i]))
	}
	return d
}

func TestTransparencyOfAPaletteStays(t *testing.T) {
	picture := image.NewPaletted(image.Rect(0, 0, 400, 400), color.Palette{color.NRGBA{}, blue})
	draw.Draw(picture, image.Rect(200, 0, 400, 400), image.NewUniform(blue), image.Point{}, draw.Src)
	in, out := t.TempDir(), t.TempDir()
	write(t, in, "half.png", pngOf(t, picture))
	mustRun(t, 0, "-size", "40", "-o", out, in)
	got, err := png.Decode(bytes.NewReader(tree(t, out)["half.png"]))
	if err != nil {
		t.Fatal(err)
	}
	left, right := got.At(5, 20), got.At(35, 20)
	if distance(left, color.NRGBA{}) > 0 || distance(right, blue) > 0x101 {
		t.Errorf("left %v, right %v; want nothing and %v", left, right, blue)
	}
}

func TestSmallPictureIsCopiedAsItIs(t *testing.T) {
	in, out := t.TempDir(), t.TempDir()
	content := append(jpegOf(t, flat(128, 100)), "and what a camera has added"...)
	write(t, in, "small.jpg", content)
	write(t, in, "broken.jpg", content[:len(content)/2])
	mustRun(t, 0, "-o", out, in)
	if got := tree(t, out); !bytes.Equal(got["small.jpg"], content) || len(got) != 1 {
		t.Errorf("the output folder has %q; want small.jpg, unchanged", names(got))
	}
}

func TestThumbnailsAreAsLargeAsTheyShould(t *testing.T) {
	for _, c := range []struct{ w, h, size, wantW, wantH int }{
		{1, 1, 128, 1, 1},
		{128, 128, 128, 128, 128},
		{129, 129, 128, 128, 128},
		{256, 128, 128, 128, 64},
		{128, 256, 128, 64, 128},
		{3, 2, 2, 2, 1},
		{100_000_000, 1, 128, 128, 1},
		{1, 1 << 30, 1 << 29, 1, 1 << 29},
	} {
		// The corner of a picture need not be 0, 0.
		got := fit(image.Rect(7, 9, 7+c.w, 9+c.h), c.size)
		if want := image.Rect(0, 0, c.wantW, c.wantH); got != want {
			t.Errorf("fit(%d x %d, %d) = %v, want %v", c.w, c.h, c.size, got, want)
		}
	}
}

func TestShrinkDoesNotStartWhenCtxHasEnded(t *testing.T) {
	in, out := t.TempDir(), t.TempDir()
	write(t, in, "a.png", pngOf(t, flat(1, 1)))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := shrink(ctx, picture{Folder: in, Name: "a.png", Output: out, Temp: "a.tmp", Size: 1})
	if files := tree(t, out); !errors.Is(err, context.Canceled) || len(files) > 0 {
		t.Errorf("shrink = %v and leaves %q; want context.Canceled and nothing", err, names(files))
	}
}
