-- The tables of a gateway, in the order in which a transaction takes their
-- rows. Times are Unix milliseconds, money is nplx, quotas are tokens.

-- +goose Up
CREATE TABLE meta ( -- values of the database itself
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE nonces ( -- of challenges that were answered
    nonce   TEXT PRIMARY KEY,
    expires BIGINT NOT NULL
);
CREATE INDEX nonces_expires ON nonces (expires);

CREATE TABLE keys ( -- API keys; the keys themselves are nowhere
    id      TEXT PRIMARY KEY,
    hash    TEXT NOT NULL UNIQUE, -- SHA-256 of the key, hex
    prefix  TEXT NOT NULL,        -- how the key begins
    name    TEXT NOT NULL,
    account TEXT NOT NULL,        -- bech32 address; empty for an operator's key
    allowed BIGINT NOT NULL,      -- tokens an epoch; 0 for no limit of its own
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,      -- 0 for never
    revoked BIGINT NOT NULL       -- 0 while it is good
);
CREATE INDEX keys_account ON keys (account);

CREATE TABLE gateways ( -- that run, or ran: a beat that stands still is a gateway that died
    id   TEXT PRIMARY KEY,
    beat BIGINT NOT NULL
);

CREATE TABLE epochs ( -- what all gateways share out
    number   BIGINT PRIMARY KEY,
    capacity BIGINT NOT NULL, -- tokens
    began    BIGINT NOT NULL
);

CREATE TABLE holds ( -- tokens and money set aside for requests that run
    id         TEXT PRIMARY KEY,
    gateway    TEXT NOT NULL,
    epoch      BIGINT NOT NULL,
    key_id     TEXT NOT NULL,    -- empty if no key was shown
    budget     TEXT NOT NULL,    -- quota of the key itself; empty if it has none
    subject    TEXT NOT NULL,    -- quota that pays first
    account    TEXT NOT NULL,    -- whose usage it is, and whose deposit pays the rest
    model      TEXT NOT NULL,
    day        BIGINT NOT NULL,  -- days since 1970
    free       BIGINT NOT NULL,  -- tokens set aside of subject's quota
    paid       BIGINT NOT NULL,  -- tokens beyond them
    price      BIGINT NOT NULL,  -- for 1,000 of these
    money      BIGINT NOT NULL,  -- set aside for them
    prompt     BIGINT NOT NULL,  -- tokens used so far
    completion BIGINT NOT NULL
);
CREATE INDEX holds_gateway ON holds (gateway);

CREATE TABLE quotas ( -- tokens of an epoch
    epoch   BIGINT NOT NULL,
    subject TEXT NOT NULL, -- account:plx1…, key:ID, operator:ID or from:IP
    allowed BIGINT NOT NULL,
    used    BIGINT NOT NULL,
    held    BIGINT NOT NULL,
    PRIMARY KEY (epoch, subject)
);

CREATE TABLE balances ( -- prepaid money
    account   TEXT PRIMARY KEY,
    deposited BIGINT NOT NULL,
    spent     BIGINT NOT NULL,
    dust      BIGINT NOT NULL, -- thousandths of an nplx, spent beside spent
    held      BIGINT NOT NULL
);

CREATE TABLE deposits ( -- where deposited comes from
    tx      TEXT NOT NULL, -- hash, upper-case hex
    idx     BIGINT NOT NULL,
    height  BIGINT NOT NULL,
    account TEXT NOT NULL,
    sender  TEXT NOT NULL,
    amount  BIGINT NOT NULL,
    PRIMARY KEY (tx, idx)
);
CREATE INDEX deposits_account ON deposits (account);

CREATE TABLE usage (
    account    TEXT NOT NULL,
    day        BIGINT NOT NULL,
    model      TEXT NOT NULL,
    prompt     BIGINT NOT NULL,
    completion BIGINT NOT NULL,
    requests   BIGINT NOT NULL,
    PRIMARY KEY (account, day, model)
);

CREATE TABLE roots ( -- of the receipts of an epoch
    epoch     BIGINT PRIMARY KEY,
    root      TEXT NOT NULL, -- hex
    receipts  BIGINT NOT NULL,
    sealed    BIGINT NOT NULL,
    published BIGINT NOT NULL -- 0 for not yet
);

CREATE TABLE receipts (
    id      TEXT PRIMARY KEY,
    filed   BIGINT NOT NULL,
    leaf    TEXT NOT NULL, -- hash of the leaf, hex
    body    TEXT NOT NULL, -- the envelope as JSON
    epoch   BIGINT,        -- that sealed it
    place   BIGINT         -- of the leaf in it
);
CREATE UNIQUE INDEX receipts_place ON receipts (epoch, place);

-- +goose Down
DROP TABLE receipts;
DROP TABLE roots;
DROP TABLE usage;
DROP TABLE deposits;
DROP TABLE balances;
DROP TABLE quotas;
DROP TABLE holds;
DROP TABLE epochs;
DROP TABLE gateways;
DROP TABLE keys;
DROP TABLE nonces;
DROP TABLE meta;
