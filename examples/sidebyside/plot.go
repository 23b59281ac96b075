package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
)

// writePlot writes the plot of a sweep, and returns the name of the file.
func writePlot(folder string, s sweep, curves []curve) (string, error) {
	p, err := draw(s, curves)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return "", err
	}
	path := filepath.Join(folder, strings.NewReplacer(" ", "-", ",", "").Replace(s.name)+".svg")
	return path, p.Save(8*vg.Inch, 6*vg.Inch, path)
}

// draw draws one line for each contender, with logarithmic axes.
func draw(s sweep, curves []curve) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = s.name + ": " + string(s.unit)
	p.X.Label.Text = s.by
	p.Y.Label.Text = string(s.unit)
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker = valueTicks(s)
	p.Y.Tick.Marker = costTicks{s.unit}
	p.Title.Padding = vg.Points(8)
	p.Legend.Top, p.Legend.Left, p.Legend.XOffs = true, true, vg.Points(12)
	p.Add(plotter.NewGrid())
	for i, c := range curves {
		points := make(plotter.XYs, len(c.points))
		for j, p := range c.points {
			points[j] = plotter.XY{X: float64(p.value), Y: p.cost}
		}
		line, marks, err := plotter.NewLinePoints(points)
		if err != nil {
			return nil, fmt.Errorf("plot %s: %w", c.name, err)
		}
		line.Color, marks.Color = plotutil.Color(i), plotutil.Color(i)
		marks.Shape = plotutil.Shape(i)
		line.Width = vg.Points(1)
		if i == 0 {
			line.Width = vg.Points(3) // this library
		}
		p.Add(line, marks)
		p.Legend.Add(c.name, line, marks)
	}
	p.Y.Max *= 10 // room for the legend
	return p, nil
}

// valueTicks are at the values that were measured.
func valueTicks(s sweep) plot.ConstantTicks {
	var ticks plot.ConstantTicks
	for _, v := range s.values {
		ticks = append(ticks, plot.Tick{Value: float64(v), Label: s.format(v)})
	}
	return ticks
}

// costTicks are at 1, 10, 100 and so on, in the unit that is fit to read.
type costTicks struct{ unit }

func (c costTicks) Ticks(least, most float64) []plot.Tick {
	ticks := plot.LogTicks{Prec: 3}.Ticks(least, most)
	for i, t := range ticks {
		if t.Label != "" {
			ticks[i].Label = c.format(t.Value)
		}
	}
	return ticks
}
