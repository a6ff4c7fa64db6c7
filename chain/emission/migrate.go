package emission

import (
	"context"
	"errors"
	"fmt"

	"cosmossdk.io/collections"

	emissionv1 "github.com/plexus-network/plexus/api/plexus/emission/v1"
)

// consensusVersion counts changes of the stored state; each but the first has a
// migration.
const consensusVersion = 2

// migrate1to2 moves the time of the latest block into the state. Version 1 kept
// it apart, under a prefix of its own.
func (k *Keeper) migrate1to2(ctx context.Context) error {
	v1 := collections.NewItem(collections.NewSchemaBuilder(k.store), collections.NewPrefix(2), "last_time", collections.Int64Value)
	last, err := v1.Get(ctx)
	if errors.Is(err, collections.ErrNotFound) {
		return nil // there was no block yet
	}
	if err != nil {
		return fmt.Errorf("time of the latest block: %w", err)
	}
	err = k.update(ctx, func(s *emissionv1.State) error {
		s.LastMs = last
		return nil
	})
	return errors.Join(err, v1.Remove(ctx))
}
