package emission

import (
	"context"

	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"

	emissionv1 "github.com/plexus-network/plexus/api/plexus/emission/v1"
)

// msgs serves the module's messages.
type msgs struct{ *Keeper }

// UpdateParams replaces the parameters.
func (m msgs) UpdateParams(ctx context.Context, msg *emissionv1.MsgUpdateParams) (*emissionv1.MsgUpdateParamsResponse, error) {
	if msg.Authority != m.authority {
		return nil, govtypes.ErrInvalidSigner.Wrapf("only %s may change these parameters, not %s", m.authority, msg.Authority)
	}
	if err := validateParams(msg.Params); err != nil {
		return nil, sdkerrors.ErrInvalidRequest.Wrap(err.Error())
	}
	return &emissionv1.MsgUpdateParamsResponse{}, m.params.Set(ctx, msg.Params)
}
