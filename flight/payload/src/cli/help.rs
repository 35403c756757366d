//! What `--help` prints: the first screen of a manual page each.

pub(super) const MAIN: &str = "\
passband - payload flight software: triage frames on board, send them without acknowledgement

Usage:
  passband run --config FILE                    run the daemon
  passband digest [--json]                      what happened, what is wrong, what comes next
  passband status|queue|events|passes [--json]  ask the daemon
  passband tlm [CHANNEL...] [--json]            show the channels of telemetry
  passband queue promote|hold|drop|... ID       change what goes down when
  passband alerts [ack N|cancel N]              show alerts; send one no more
  passband safe enter|leave                     start anew in safe mode; end it
  passband pass start SECONDS [--rate BPS]      open the transmitter by hand
  passband pass stop                            close it
  passband triage FRAME.hdr --out DIR           run the detector on a frame, without the daemon
  passband record FILE                          show a frame's record of few bytes
  passband params|plan|script|... ORDER         give an order; `passband help orders` lists them
  passband arm ORDER, then passband fire ORDER  give one that takes two steps
  passband params|agenda|script|update|logs     what is set, pending, on board; the log
  passband load plan|script|file FILE           take a file on board
  passband orders|keys                          what was ordered; who may order
  passband completion bash                      completion for a shell
  passband check-config FILE                    check a configuration file
  passband --version

Each command has its own --help, with an example. What only asks answers from the last saved state where the
daemon is down, says so in its first line (\"live\": false in JSON), and ends with 1.
Exit status: 0 done, 1 not done, 2 bad usage or input.
";

pub(super) const RUN: &str = "\
passband run - run the payload daemon

Usage: passband run --config FILE

Watches the camera's spool, looks at each frame, seals its products, and sends them over the fast link
while the transmitter is open. Alerts leave at once on the alert radio. Everything survives a power cut;
one daemon runs on a state folder. SIGTERM or SIGINT stops it within a second. Where the state folder can't
be written, what is stored still goes down, and the command socket is the one below; commands look there, too.

Options:
  --config FILE   the configuration, TOML; passband.example.toml shows every field

Environment:
  PASSBAND_LOG    error, warn, info, debug or trace: what the log on standard error says

Files:
  /dev/shm/passband-UID-SPACECRAFT.sock   the command socket while the state folder can't be written

Example:
  passband run --config /etc/passband.toml
";

pub(super) const DIGEST: &str = "\
passband digest - what an operator wants to know first, in one screen

Usage: passband digest [--json] [--socket PATH | --config FILE]

Says when LOS or the next AOS is, what is wrong (what stands now; channels beyond their limits; events of
severity warning or worse since the last pass ended, the most severe first), what changed since that pass,
what is to go down and when it will be, what comes up, and what runs there: mode, start, slot, and the first 8
digits of the SHA-256 of program, configuration file, dictionary and changed parameters. At most 23 lines and
1500 bytes. Where the daemon is down it is the last saved state, the first line says so, and the exit status
is 1.

Options:
  --json          one JSON document, \"schema\": 1, with the digests in full; \"live\": false if it was saved
  --socket PATH   the daemon's command socket; default /var/lib/passband/passband.sock
  --config FILE   take the socket from the daemon's configuration

Example:
  passband digest
";

pub(super) const TLM: &str = "\
passband tlm - the channels of telemetry, as they were a second ago at most

Usage: passband tlm [CHANNEL...] [--json] [--socket PATH | --config FILE]

Shows all channels in a table, or those that are named with unit, limits and meaning. Limits are red low,
yellow low, yellow high, red high; - where there is none. A channel changes its colour when three of its last
five values say so. Where the daemon is down it is the last saved state, the first line says so, and the exit
status is 1.

Options:
  --json          one JSON document, \"schema\": 1; null for what isn't known
  --socket PATH   the daemon's command socket; default /var/lib/passband/passband.sock
  --config FILE   take the socket from the daemon's configuration

Example:
  passband tlm temperature power
";

pub(super) const STATUS: &str = "\
passband status - how the payload is

Usage: passband status [--json] [--socket PATH | --config FILE]

Shows the transmitter, the next pass, what was sent, frames and bundles by class, the store and counts of
events.

Options:
  --json          one JSON document, \"schema\": 1
  --socket PATH   the daemon's command socket; default /var/lib/passband/passband.sock
  --config FILE   take the socket from the daemon's configuration

Example:
  passband status --json --config /etc/passband.toml
";

pub(super) const QUEUE: &str = "\
passband queue - what goes down, in order, and what to do about it

Usage: passband queue [--limit N]                     list it
       passband queue explain ID                      why it is where it is, and when it will be down
       passband queue promote|demote|hold|release|drop ID
       passband queue retask ID [--tasking NAME] [--class CLASS]
       ... [--json] [--socket PATH | --config FILE]

ID: an id, or the beginning of one, 4 digits at least. promote: goes before all that isn't; demote undoes
it. hold: is neither sent nor dropped for room, until release. drop: is forgotten and its file removed, sent
or not. States: waiting; on-link (the sender has it); presumed (down with the probability that its class asks
for; kept); known (the ground has it; kept until its room is needed); held; damaged (on the disk).

Options:
  --limit N       at most N bundles, 1 to 100000; default 1000
  --json          one JSON document, \"schema\": 1
  --socket PATH   the daemon's command socket; default /var/lib/passband/passband.sock
  --config FILE   take the socket from the daemon's configuration

Example:
  passband queue explain 3fa1
";

pub(super) const EVENTS: &str = "\
passband events - what happened

Usage: passband events [--since SEQ] [--limit N] [--json] [--socket PATH | --config FILE]

Shows the newest events, or the first ones after a number: events are numbered without gaps, and the
newest 10000 are kept. Long texts are cut to fit a screen, unless an option below says what to show.

Options:
  --since SEQ     only events with a greater number, the oldest first
  --limit N       at most N, 1 to 1000; default 11
  --json          one JSON document, \"schema\": 1
  --socket PATH   the daemon's command socket; default /var/lib/passband/passband.sock
  --config FILE   take the socket from the daemon's configuration

Example:
  passband events --since 4711 --limit 100
";

pub(super) const ALERTS: &str = "\
passband alerts - how the alerts stand

Usage: passband alerts [ack N | cancel N] [--json] [--socket PATH | --config FILE]

One alert a line: number, how sure, state, how often it was sent, when it is due next, frame. States:
  pending        it is sent until somebody has heard it, or until it is too old
  acknowledged   the ground has it: a station, a report of its evidence, or the operator said so
  superseded     a newer alert of the same site was sent, or the operator cancelled it
  through        it was sent by its schedule to the end, and nobody acknowledged it
  stale          it was too old before the alert radio took it even once

  ack N           the ground has alert N: send it no more
  cancel N        alert N is of no use any more: send it no more

Options:
  --json          one JSON document with every alert, \"schema\": 1; of ack and cancel with that one
  --socket PATH   the daemon's command socket; default /var/lib/passband/passband.sock
  --config FILE   take the socket from the daemon's configuration

Example:
  passband alerts ack 12
";

pub(super) const PASS: &str = "\
passband pass - open or close the transmitter by hand

Usage:
  passband pass start SECONDS [--rate BPS] [--json] [--socket PATH | --config FILE]
  passband pass stop [--json] [--socket PATH | --config FILE]

What the bus computer or the pass plan does otherwise. Where the bus computer does (transmit = \"bus\"),
its next message overrides what was done by hand. Where the plan does (transmit = \"plan\"), a pass that
was stopped stays closed until its LOS, and one that was started ends at the LOS of a planned one at the
earliest.

Options:
  SECONDS         open for so long from now, 1 to 900; also as --seconds N
  --rate BPS      bit/s of UDP payload, as 9600, 256k, 40M or 1.6G; default: the configured rate
  --json          one JSON document, \"schema\": 1
  --socket PATH   the daemon's command socket; default /var/lib/passband/passband.sock
  --config FILE   take the socket from the daemon's configuration

Example:
  passband pass start 420 --rate 200M
";

pub(super) const PASSES: &str = "\
passband passes - when stations can hear the satellite next

Usage: passband passes [--count N] [--json] [--socket PATH | --config FILE]

One pass a line: AOS, length, greatest elevation, rate of the station in Mbit/s if it has one, where it comes
from, station. A pass is a contact window of the ground, or predicted up to 7 days ahead from orbital elements
and a list of stations: see [passes] in passband.example.toml. A * marks predictions from elements that are
too old.

Options:
  --count N       at most N, 1 to 100; default 10
  --json          one JSON document, \"schema\": 1
  --socket PATH   the daemon's command socket; default /var/lib/passband/passband.sock
  --config FILE   take the socket from the daemon's configuration

Example:
  passband passes --count 3
";

pub(super) const TRIAGE: &str = "\
passband triage - run the detector on a frame, without the daemon

Usage: passband triage FRAME.hdr --out DIR [OPTIONS] | passband triage --list-params
Reads an ENVI frame and writes into DIR, the same bytes on every machine: result.json (class, reason,
plumes, quality), record.bin (the same in at most 512 bytes), enhancement.f32 (the gas column of each
pixel, ppm·m: f32, little endian, line by line), quicklook.png, and the chip of an alert or a suspect.

Options:
  --data FILE         the data file; default: the one beside the header, as in the spool
  --config FILE       take [triage] from a configuration; the options below go before it
  --params FILE       a TOML file with keys of [triage.params] in place of the configuration's
  --target FILE       another gas than methane: see flight/spectral/targets/README.md
  --calibration FILE  header of an ENVI cube with gains and offsets of each detector (1 or 2 lines)
  --threads N         threads that compute, 1 to 64; they change no byte of the result
  --pixel-size M      side of a pixel on the ground, in place of the header's
  --wind M_S          wind over the scene, in place of the header's; both are needed for a rate in kg/h
  --list-params       print every parameter with its value, range and meaning, as a file for --params
  --json              print result.json

Example:
  passband triage frames/scene1.hdr --out scene1-out --pixel-size 30 --wind 4.5
";

pub(super) const RECORD: &str = "\
passband record - show a frame's record

Usage: passband record FILE [--json]

A record is the verdict on a frame in at most 512 bytes: NAME.record of an evidence bundle, or record.bin
of `passband triage`. Numbers are rounded to whole units; what is greater than a field can hold is its
greatest value.

Options:
  --json          one JSON document, \"schema\": 1

Example:
  passband record scene1-out/record.bin
";

pub(super) const CHECK_CONFIG: &str = "\
passband check-config - check a configuration file

Usage: passband check-config FILE

Reads the file as `passband run` does, every range checked, and what it names: the target gas, the calibration
and the files of the pass plan. An error names the file, the line and the field. A note tells what may come
later (files of the pass plan and of keys that aren't there), and of keys that others can read.

Example:
  passband check-config /etc/passband.toml
";

pub(super) const ARM: &str = "\
passband arm, passband fire - give an order that takes two steps

Usage: passband arm ORDER, then passband fire ORDER
       [--json] [--socket PATH | --config FILE]

What can cost the mission is armed first, and done when the same order, with the same words, is fired while
it is armed: for command.arm seconds (60, if that isn't set). Whatever else its giver orders meanwhile disarms it;
questions don't. `passband help orders` marks such orders with a *. keys retire takes two keys, too: the holder of
another one fires it, a shell can't do both, and the one who armed it disarms it by firing it himself.

Options:
  --json          the answer as one JSON document, \"schema\": 1
  --socket PATH   the daemon's command socket; default /var/lib/passband/passband.sock
  --config FILE   take the socket from the daemon's configuration

Example:
  passband arm board reboot && passband fire board reboot
";

pub(super) const COMPLETION: &str = "\
passband completion - completion of commands, orders, parameters and options for a shell

Usage: passband completion bash

Prints a script for bash. It knows what this program knows, and asks no daemon.

Example:
  source <(passband completion bash)
  passband completion bash > /etc/bash_completion.d/passband
";

pub(super) const ORDERS: &str = "\
passband orders - what was ordered, and what became of it

Usage: passband orders [--limit N] [--json] [--socket PATH | --config FILE]

Each order has the way by which it came (a key of the uplink, shell or plan) and a number. Stages: accepted;
armed; started; done; refused or failed, with the reason. An order is done once, however often it is sent.
`passband help orders` lists what can be ordered.

Options:
  --limit N       the newest N, 1 to 1000; default 20
  --json          one JSON document, \"schema\": 1
  --socket PATH   the daemon's command socket; default /var/lib/passband/passband.sock
  --config FILE   take the socket from the daemon's configuration

Example:
  passband orders --json --limit 5
";

pub(super) const KEYS: &str = "\
passband keys - who may give orders by the uplink

Usage: passband keys [--json] [--socket PATH | --config FILE]
       passband keys accept SPI                     put a new key to use

Shows each security association with its holder's role, the highest counter that was taken, and frames
taken and refused since the start; never a secret. unsynchronised: no counter is known; a new key is put to
use by `keys accept`, an old one by a re-synchronisation, which has to name the challenge shown. A key is
retired by radio alone, and takes two holders: one arms `keys retire SPI`, another fires it.

Options:
  --json          one JSON document, \"schema\": 1
  --socket PATH   the daemon's command socket; default /var/lib/passband/passband.sock
  --config FILE   take the socket from the daemon's configuration

Example:
  passband keys --config /etc/passband.toml
";

/// The commands that aren't orders, and the words that may stand behind them: for completions.
pub(super) const COMMANDS: &[(&str, &[&str])] = &[
    ("run", &[]),
    ("status", &[]),
    ("queue", &["explain"]),
    ("events", &[]),
    ("alerts", &[]),
    ("passes", &[]),
    ("digest", &[]),
    ("tlm", &[]),
    ("params", &[]),
    ("agenda", &[]),
    ("plan", &[]),
    ("script", &[]),
    ("update", &["status"]),
    ("logs", &[]),
    ("load", &["plan", "script", "file"]),
    ("orders", &[]),
    ("keys", &[]),
    ("arm", &[]),
    ("fire", &[]),
    ("triage", &[]),
    ("record", &[]),
    ("check-config", &[]),
    ("completion", &["bash"]),
    ("help", &["orders", "params"]),
];

pub(super) const PARAMS: &str = "\
passband params - values that can be changed in flight

Usage: passband params [NAME|BEGINNING] [--json] [--socket PATH | --config FILE]
       passband params set NAME VALUE             stage a value
       passband params commit [--within S]        put what is staged in force, on trial
       passband params confirm|rollback|discard

Shows what is in force, what is staged, and whether it is on trial: unless it is confirmed in time, the values
before are put back, also over restarts. `passband help params` lists all names.

Options:
  --json          one JSON document, \"schema\": 1
  --socket PATH   the daemon's command socket; default /var/lib/passband/passband.sock
  --config FILE   take the socket from the daemon's configuration

Example:
  passband params limits.
";

pub(super) const AGENDA: &str = "\
passband agenda - what is pending

Usage: passband agenda [--limit N] [--json] [--socket PATH | --config FILE]
       passband agenda add WHEN -- ORDER           put one order on the agenda
       passband agenda remove NAME
       passband plan start|hold|resume|cancel|skip|remove NAME
       passband load plan FILE                     take a signed plan on board

WHEN as in a plan: 2026-12-01T10:00:00Z, aos +10s, los any, after 5min, event disk-full, when tlm power > 25.
Shows the plans on board and their entries that are pending, the soonest first.

Options:
  --limit N       at most N entries, 1 to 5000; default 18
  --json          one JSON document, \"schema\": 1
  --socket PATH   the daemon's command socket; default /var/lib/passband/passband.sock
  --config FILE   take the socket from the daemon's configuration

Example:
  passband agenda add 'aos +10s' -- script run check
";

pub(super) const SCRIPT: &str = "\
passband script - scripts on board and their runs

Usage: passband script [--json] [--socket PATH | --config FILE]
       passband load script FILE [--name NAME]     take a script on board
       passband script run NAME [--args ARGS] [--wall S] [--cpu S] [--memory MIB] [--output KIB]
       passband script stop|remove NAME

A script runs under limits, without network, and goes on when the shell is gone. What it writes becomes a
bundle; its first lines are in the digest.

Options:
  --json          one JSON document, \"schema\": 1
  --socket PATH   the daemon's command socket; default /var/lib/passband/passband.sock
  --config FILE   take the socket from the daemon's configuration

Example:
  passband script run check --wall 60
";

pub(super) const UPDATE: &str = "\
passband update - where the update stands, and what comes up

Usage: passband update [status] [--json] [--socket PATH | --config FILE]
       passband arm update start ID, then passband fire update start ID
       passband arm update try, then passband fire update try
       passband update confirm [--health anyway]
       passband arm update back SLOT, then passband fire update back SLOT
       passband update abort

ID: the first 8 hexadecimal digits of the SHA-256 of the update file. `start` has its image put into the slot that
isn't in use, `try` starts it on trial, `confirm` keeps it, `back` starts another slot that was confirmed once. What
isn't confirmed in time, or fails by itself, goes back to what was. Shows what each slot holds, all that comes up in
pieces, and how much of it is there.

Options:
  --json          one JSON document, \"schema\": 1
  --socket PATH   the daemon's command socket; default /var/lib/passband/passband.sock
  --config FILE   take the socket from the daemon's configuration

Example:
  passband update --json
";

pub(super) const LOGS: &str = "\
passband logs - the engineer's log

Usage: passband logs [--limit N] [--json] [--socket PATH | --config FILE]

Shows the newest lines of the daemon's log, each cut to a line of a screen; --json has them whole.

Options:
  --limit N       at most N lines, 1 to 500; default 20
  --json          one JSON document, \"schema\": 1
  --socket PATH   the daemon's command socket; default /var/lib/passband/passband.sock
  --config FILE   take the socket from the daemon's configuration

Example:
  passband logs --limit 100
";

pub(super) const LOAD: &str = "\
passband load - take a file on board as a plan, a script or a file of the payload

Usage: passband load plan|script|file FILE [--name NAME] [--json] [--socket PATH | --config FILE]

The daemon reads FILE, which has to be on board. A plan has to be signed under a key that may give its orders. A
script is kept to be run. A file (orbit elements, contact windows, a target gas, a calibration) goes to files/ in
the state folder, where the configuration may look for it.

Options:
  --name NAME     what it is called on board; default: as FILE is, without the ending of a plan or script
  --json          one JSON document, \"schema\": 1
  --socket PATH   the daemon's command socket; default /var/lib/passband/passband.sock
  --config FILE   take the socket from the daemon's configuration

Example:
  passband load script check.sh
";
