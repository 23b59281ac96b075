package executor_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"testing"

	"github.com/gofutures/futures/executor"
)

func TestItemErrorsNameTheFirstAndCountTheOthers(t *testing.T) {
	var errs executor.ItemErrors
	for i, want := range []string{
		"1 item failed: item 0: bad 0",
		"2 items failed: item 0: bad 0; item 7: bad 1",
		"3 items failed: item 0: bad 0; item 7: bad 1; item 14: bad 2",
		"4 items failed: item 0: bad 0; item 7: bad 1; item 14: bad 2; and 1 more",
		"5 items failed: item 0: bad 0; item 7: bad 1; item 14: bad 2; and 2 more",
	} {
		errs = append(errs, &executor.ItemError{Index: 7 * i, Err: fmt.Errorf("bad %d", i)})
		if got := errs.Error(); got != want {
			t.Errorf("%d errors: %q; want %q", len(errs), got, want)
		}
	}
}

func TestItemErrorsMatchWhatEachMatches(t *testing.T) {
	missing := &fs.PathError{Op: "open", Path: "a", Err: fs.ErrNotExist}
	err := fmt.Errorf("read: %w", executor.ItemErrors{{Index: 2, Err: io.EOF}, {Index: 5, Err: missing}})
	if !errors.Is(err, io.EOF) || !errors.Is(err, fs.ErrNotExist) || errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v matches EOF: %t, ErrNotExist: %t, ErrUnexpectedEOF: %t; want true, true, false",
			err, errors.Is(err, io.EOF), errors.Is(err, fs.ErrNotExist), errors.Is(err, io.ErrUnexpectedEOF))
	}
	var path *fs.PathError
	var items executor.ItemErrors
	var item *executor.ItemError
	if !errors.As(err, &path) || !errors.As(err, &items) || !errors.As(err, &item) || item.Index != 2 || len(items) != 2 {
		t.Errorf("errors.As finds %v, %v, %v; want the path error, both items, and the first", path, items, item)
	}
}

func ExampleItemErrors() {
	err := error(executor.ItemErrors{
		{Index: 3, Err: errors.New("no word")},
		{Index: 8, Err: fs.ErrNotExist},
	})
	fmt.Println(err)

	var failed executor.ItemErrors
	if errors.As(err, &failed) {
		for _, item := range failed {
			fmt.Println("again:", item.Index)
		}
	}
	fmt.Println(errors.Is(err, fs.ErrNotExist))
	// Output:
	// 2 items failed: item 3: no word; item 8: file does not exist
	// again: 3
	// again: 8
	// true
}

func ExampleItemError() {
	err := error(&executor.ItemError{Index: 3, Err: io.EOF})
	fmt.Println(err, errors.Is(err, io.EOF))
	// Output:
	// item 3: EOF true
}
