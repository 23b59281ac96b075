package main

import (
	"context"
	"errors"
	"time"
)

// count is the work of all snippets. It takes as long as the word is, and sees
// when nobody wants it any more, which Python's cannot.
//
//	def count(word):
//	    if not word:
//	        raise ValueError("no word")
//	    time.sleep(len(word) / 100)
//	    return len(word)
func count(ctx context.Context, word string) (int, error) {
	if word == "" {
		return 0, errors.New("no word")
	}
	select {
	case <-time.After(time.Duration(len(word)) * 10 * time.Millisecond):
		return len(word), nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}
