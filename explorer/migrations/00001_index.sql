-- Every table but three is a history: rows say at which height something
-- became so, and are never changed, so that dropping all rows from a height on
-- is the index as it was before. accounts, subnets and validators hold what is
-- so now, and can be made from the histories.
--
-- Sums are in nplx, times in milliseconds of Unix time, proportions of 65535.
-- The same text runs on SQLite and PostgreSQL.

-- +goose Up
CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE blocks (
    height   BIGINT NOT NULL PRIMARY KEY,
    time     BIGINT NOT NULL,
    hash     TEXT   NOT NULL,
    proposer TEXT   NOT NULL,
    txs      BIGINT NOT NULL,
    failed   BIGINT NOT NULL,
    minted   BIGINT NOT NULL,
    burned   BIGINT NOT NULL
);

CREATE INDEX blocks_time ON blocks (time);

CREATE TABLE txs (
    height     BIGINT NOT NULL,
    idx        BIGINT NOT NULL,
    time       BIGINT NOT NULL,
    hash       TEXT   NOT NULL,
    signer     TEXT   NOT NULL,
    messages   TEXT   NOT NULL,
    memo       TEXT   NOT NULL,
    fee        BIGINT NOT NULL,
    payer      TEXT   NOT NULL,
    gas_wanted BIGINT NOT NULL,
    gas_used   BIGINT NOT NULL,
    code       BIGINT NOT NULL,
    error      TEXT   NOT NULL,
    PRIMARY KEY (height, idx)
);
CREATE INDEX txs_hash ON txs (hash);
CREATE INDEX txs_signer ON txs (signer, height, idx);

CREATE TABLE transfers (
    height    BIGINT NOT NULL,
    idx       BIGINT NOT NULL,
    time      BIGINT NOT NULL,
    tx        BIGINT NOT NULL,
    kind      TEXT   NOT NULL,
    sender    TEXT   NOT NULL,
    recipient TEXT   NOT NULL,
    amount    BIGINT NOT NULL,
    PRIMARY KEY (height, idx)
);
CREATE INDEX transfers_sender ON transfers (sender, height, idx);
CREATE INDEX transfers_recipient ON transfers (recipient, height, idx);
CREATE INDEX transfers_kind ON transfers (kind, height, idx);

CREATE TABLE accounts (
    address TEXT   NOT NULL PRIMARY KEY,
    balance BIGINT NOT NULL,
    first   BIGINT NOT NULL,
    last    BIGINT NOT NULL
);
CREATE INDEX accounts_balance ON accounts (balance, address);
CREATE INDEX accounts_last ON accounts (last);

CREATE TABLE balances (
    address TEXT   NOT NULL,
    height  BIGINT NOT NULL,
    balance BIGINT NOT NULL,
    PRIMARY KEY (address, height)
);
CREATE INDEX balances_height ON balances (height);

CREATE TABLE subnets (
    netuid          BIGINT NOT NULL PRIMARY KEY,
    height          BIGINT NOT NULL,
    owner           TEXT   NOT NULL,
    kind            TEXT   NOT NULL,
    name            TEXT   NOT NULL,
    registered      BIGINT NOT NULL,
    neurons         BIGINT NOT NULL,
    epoch           BIGINT NOT NULL,
    tempo           BIGINT NOT NULL,
    next_epoch      BIGINT NOT NULL,
    share           BIGINT NOT NULL,
    pending         BIGINT NOT NULL,
    price           BIGINT NOT NULL,
    hyperparameters TEXT   NOT NULL,
    kind_params     TEXT   NOT NULL
);

CREATE TABLE subnet_states (
    netuid          BIGINT NOT NULL,
    height          BIGINT NOT NULL,
    owner           TEXT   NOT NULL,
    kind            TEXT   NOT NULL,
    name            TEXT   NOT NULL,
    registered      BIGINT NOT NULL,
    neurons         BIGINT NOT NULL,
    epoch           BIGINT NOT NULL,
    tempo           BIGINT NOT NULL,
    next_epoch      BIGINT NOT NULL,
    share           BIGINT NOT NULL,
    pending         BIGINT NOT NULL,
    price           BIGINT NOT NULL,
    hyperparameters TEXT   NOT NULL,
    kind_params     TEXT   NOT NULL,
    PRIMARY KEY (netuid, height)
);
CREATE INDEX subnet_states_height ON subnet_states (height);

CREATE TABLE seats (
    netuid  BIGINT NOT NULL,
    uid     BIGINT NOT NULL,
    height  BIGINT NOT NULL,
    account TEXT   NOT NULL,
    PRIMARY KEY (netuid, uid, height)
);
CREATE INDEX seats_height ON seats (height);
CREATE INDEX seats_account ON seats (account, height, netuid, uid);

CREATE TABLE registrations (
    height   BIGINT NOT NULL,
    idx      BIGINT NOT NULL,
    time     BIGINT NOT NULL,
    kind     TEXT   NOT NULL,
    netuid   BIGINT NOT NULL,
    uid      BIGINT NOT NULL,
    account  TEXT   NOT NULL,
    burned   BIGINT NOT NULL,
    replaced TEXT   NOT NULL,
    PRIMARY KEY (height, idx)
);
CREATE INDEX registrations_netuid ON registrations (netuid, height, idx);
CREATE INDEX registrations_account ON registrations (account, height, idx);

CREATE TABLE epochs (
    netuid    BIGINT NOT NULL,
    height    BIGINT NOT NULL,
    mechanism BIGINT NOT NULL,
    time      BIGINT NOT NULL,
    number    BIGINT NOT NULL,
    pot       BIGINT NOT NULL,
    neurons   BIGINT NOT NULL,
    error     TEXT   NOT NULL,
    PRIMARY KEY (netuid, height, mechanism)
);
CREATE INDEX epochs_height ON epochs (height, netuid, mechanism);

CREATE TABLE neurons (
    netuid             BIGINT  NOT NULL,
    height             BIGINT  NOT NULL,
    mechanism          BIGINT  NOT NULL,
    uid                BIGINT  NOT NULL,
    account            TEXT    NOT NULL,
    stake              BIGINT  NOT NULL,
    active             BOOLEAN NOT NULL,
    permit             BOOLEAN NOT NULL,
    trust              BIGINT  NOT NULL,
    consensus          BIGINT  NOT NULL,
    incentive          BIGINT  NOT NULL,
    dividends          BIGINT  NOT NULL,
    validator_trust    BIGINT  NOT NULL,
    server_emission    BIGINT  NOT NULL,
    validator_emission BIGINT  NOT NULL,
    PRIMARY KEY (netuid, height, mechanism, uid)
);
CREATE INDEX neurons_uid ON neurons (netuid, uid, height);
CREATE INDEX neurons_account ON neurons (account, height, netuid, uid);
CREATE INDEX neurons_height ON neurons (height);

CREATE TABLE validators (
    operator TEXT    NOT NULL PRIMARY KEY,
    height   BIGINT  NOT NULL,
    account  TEXT    NOT NULL,
    moniker  TEXT    NOT NULL,
    stake    BIGINT  NOT NULL,
    bonded   BOOLEAN NOT NULL,
    jailed   BOOLEAN NOT NULL
);

CREATE TABLE stakes (
    operator TEXT    NOT NULL,
    height   BIGINT  NOT NULL,
    account  TEXT    NOT NULL,
    moniker  TEXT    NOT NULL,
    stake    BIGINT  NOT NULL,
    bonded   BOOLEAN NOT NULL,
    jailed   BOOLEAN NOT NULL,
    PRIMARY KEY (operator, height)
);
CREATE INDEX stakes_height ON stakes (height);

CREATE TABLE moves (
    height    BIGINT NOT NULL,
    idx       BIGINT NOT NULL,
    time      BIGINT NOT NULL,
    kind      TEXT   NOT NULL,
    delegator TEXT   NOT NULL,
    validator TEXT   NOT NULL,
    source    TEXT   NOT NULL,
    amount    BIGINT NOT NULL,
    PRIMARY KEY (height, idx)
);
CREATE INDEX moves_delegator ON moves (delegator, height, idx);
CREATE INDEX moves_validator ON moves (validator, height, idx);

CREATE TABLE rewards (
    operator         TEXT   NOT NULL,
    height           BIGINT NOT NULL,
    time             BIGINT NOT NULL,
    reward           BIGINT NOT NULL,
    commission       BIGINT NOT NULL,
    stake            BIGINT NOT NULL,
    total_reward     BIGINT NOT NULL,
    total_commission BIGINT NOT NULL,
    total_yield      BIGINT NOT NULL,
    PRIMARY KEY (operator, height)
);
CREATE INDEX rewards_height ON rewards (height);

CREATE TABLE claims (
    height  BIGINT NOT NULL,
    idx     BIGINT NOT NULL,
    time    BIGINT NOT NULL,
    account TEXT   NOT NULL,
    amount  BIGINT NOT NULL,
    PRIMARY KEY (height, idx)
);
CREATE INDEX claims_account ON claims (account, height, idx);

CREATE TABLE supply (
    height       BIGINT NOT NULL PRIMARY KEY,
    time         BIGINT NOT NULL,
    supply       BIGINT NOT NULL,
    minted       BIGINT NOT NULL,
    burned       BIGINT NOT NULL,
    bootstrap    BIGINT NOT NULL,
    unallocated  BIGINT NOT NULL,
    per_day      BIGINT NOT NULL,
    era          BIGINT NOT NULL,
    next_halving BIGINT NOT NULL,
    subnet_price BIGINT NOT NULL
);

-- +goose Down
DROP TABLE supply;
DROP TABLE claims;
DROP TABLE rewards;
DROP TABLE moves;
DROP TABLE stakes;
DROP TABLE validators;
DROP TABLE neurons;
DROP TABLE epochs;
DROP TABLE registrations;
DROP TABLE seats;
DROP TABLE subnet_states;
DROP TABLE subnets;
DROP TABLE balances;
DROP TABLE accounts;
DROP TABLE transfers;
DROP TABLE txs;
DROP TABLE blocks;
DROP TABLE meta;
