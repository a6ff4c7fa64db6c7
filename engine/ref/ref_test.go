package ref_test

import (
	"testing"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/enginetest"
	"github.com/plexus-network/plexus/engine/gguf"
	"github.com/plexus-network/plexus/engine/ref"
)

func TestConforms(t *testing.T) {
	enginetest.Run(t, enginetest.Kit{Exact: true, Open: func(t *testing.T) engine.Text {
		e, err := ref.Open(enginetest.RandomModel(t, enginetest.Shape{Type: gguf.F16}), ref.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}})
}
