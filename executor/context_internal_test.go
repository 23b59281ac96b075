package executor

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestABubbleIsRecognized(t *testing.T) {
	if isInBubble() {
		t.Error("isInBubble outside of a bubble = true; want false")
	}
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(40 * 365 * 24 * time.Hour)
		if !isInBubble() {
			t.Error("isInBubble in a bubble = false; want true")
		}
	})
}
