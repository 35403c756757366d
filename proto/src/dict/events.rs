//! The events that the payload tells of.
//!
//! An event's text says what happened in particular; here is what all events of a code have in common.

use super::kind::names;

names! {
    /// How bad an event is.
    pub enum Severity: Name8, "severity" {
        /// As it should be.
        Info = 0 "info",
        /// Somebody should look at it some day.
        Warning = 1 "warning",
        /// Something was not done.
        Error = 2 "error",
        /// The payload can't do its work.
        Critical = 3 "critical",
    }
}

macro_rules! events {
    ($($(#[doc = $doc:literal])+ $code:ident = $number:literal $name:literal $severity:ident,)+) => {
        names! {
            /// What happened.
            pub enum EventCode: Name16, "event" {
                $($(#[doc = $doc])+ $code = $number $name,)+
            }
        }

        impl EventCode {
            /// How bad it is as a rule: an event in particular may be milder or worse.
            #[must_use]
            pub fn usual_severity(self) -> Severity {
                match self { $(Self::$code => Severity::$severity,)+ }
            }
        }
    };
}

events! {
    /// The daemon has started.
    DaemonStart = 0x0101 "daemon-start" Info,
    /// The daemon was told to stop.
    DaemonStop = 0x0102 "daemon-stop" Info,
    /// The run before ended in a crash.
    DaemonCrash = 0x0103 "daemon-crash" Critical,
    /// The run before ended with the board's power.
    PowerCut = 0x0104 "power-cut" Warning,
    /// The start before failed.
    StartFailed = 0x0105 "start-failed" Error,
    /// The mission's keys were read anew.
    KeysChanged = 0x0110 "keys-changed" Info,
    /// The key file can be read by others than its owner.
    KeysExposed = 0x0111 "keys-exposed" Warning,
    /// The key file can't be used.
    KeysUnusable = 0x0112 "keys-unusable" Error,
    /// The command socket is in the memory's file system.
    SocketElsewhere = 0x0120 "socket-elsewhere" Warning,
    /// The command socket can't be made.
    SocketError = 0x0121 "socket-error" Error,
    /// A copy of a small record is damaged.
    RecordDamaged = 0x0122 "record-damaged" Warning,
    /// A small record can't be written.
    RecordUnwritten = 0x0123 "record-unwritten" Error,

    /// A frame was looked at and taken.
    FrameAccepted = 0x0201 "frame-accepted" Info,
    /// A frame will never be one, or can't be taken: it lies in rejected/.
    FrameRejected = 0x0202 "frame-rejected" Warning,
    /// A frame came again.
    FrameDuplicate = 0x0203 "frame-duplicate" Warning,
    /// A frame waits, as something else keeps it from being taken.
    FrameDelayed = 0x0204 "frame-delayed" Error,
    /// Files of the spool could not be listed, moved or removed.
    SpoolError = 0x0210 "spool-error" Error,
    /// Files are in the spool that no header speaks of, or that can't be removed.
    SpoolStuck = 0x0211 "spool-stuck" Warning,
    /// The spool has more entries than are looked at at once.
    SpoolCrowded = 0x0212 "spool-crowded" Warning,
    /// There are folders in the spool.
    SpoolFolders = 0x0213 "spool-folders" Warning,
    /// Files that a crash left in the spool were removed.
    SpoolCleared = 0x0214 "spool-cleared" Info,
    /// The oldest rejected files were removed for room.
    RejectedPruned = 0x0215 "rejected-pruned" Warning,

    /// An alert was sent for the first time.
    AlertSent = 0x0301 "alert-sent" Info,
    /// An alert is to be sent again, as its frame was looked at anew.
    AlertPending = 0x0302 "alert-pending" Info,
    /// An alert is known on the ground.
    AlertAcknowledged = 0x0303 "alert-acknowledged" Info,
    /// A newer alert stands in the place of an older one.
    AlertSuperseded = 0x0304 "alert-superseded" Info,
    /// An alert was sent as often as it is to be; nobody acknowledged it.
    AlertThrough = 0x0305 "alert-through" Info,
    /// An alert is too old to be sent.
    AlertStale = 0x0306 "alert-stale" Warning,
    /// An alert was given up for room.
    AlertDropped = 0x0307 "alert-dropped" Warning,
    /// An alert could not be made.
    AlertFailed = 0x0308 "alert-failed" Error,
    /// The alert radio didn't take a message.
    AlertError = 0x0309 "alert-error" Error,

    /// The catalogue could not be read and was set aside.
    CatalogueDamaged = 0x0401 "catalogue-damaged" Error,
    /// The catalogue can't be written: it is kept in memory.
    CatalogueInMemory = 0x0402 "catalogue-in-memory" Critical,
    /// An access to the store failed.
    StoreError = 0x0403 "store-error" Error,
    /// There is no room for a frame.
    StoreFull = 0x0404 "store-full" Error,
    /// Files that nothing speaks of were removed from the store.
    StoreSwept = 0x0405 "store-swept" Info,
    /// The disk works as it should again.
    DiskGood = 0x0410 "disk-good" Info,
    /// The disk takes long to write.
    DiskSlow = 0x0411 "disk-slow" Warning,
    /// The disk is full.
    DiskFull = 0x0412 "disk-full" Error,
    /// The disk fails.
    DiskFailing = 0x0413 "disk-failing" Error,
    /// The disk can't be written.
    DiskReadOnly = 0x0414 "disk-read-only" Critical,
    /// Bundles were taken in from their sealed files.
    BundlesAdopted = 0x0420 "bundles-adopted" Info,
    /// Sealed files could not be taken in.
    BundlesNotAdopted = 0x0421 "bundles-not-adopted" Error,
    /// Sealed files could not be read.
    BundlesUnreadable = 0x0422 "bundles-unreadable" Error,
    /// A bundle's file is gone or is none any more.
    BundleLost = 0x0423 "bundle-lost" Error,
    /// A bundle is damaged on the disk.
    BundleDamaged = 0x0424 "bundle-damaged" Error,
    /// A damaged bundle was made anew from its frame.
    BundleResealed = 0x0425 "bundle-resealed" Warning,
    /// A damaged bundle can't be made anew.
    BundleUnmended = 0x0426 "bundle-unmended" Warning,
    /// A bundle's digest was wrong, its content is right.
    BundleDigestCorrected = 0x0427 "bundle-digest-corrected" Warning,
    /// A bundle was read wrongly once.
    BundleMisread = 0x0428 "bundle-misread" Warning,
    /// It can't be told whether a bundle is damaged.
    BundleUndecided = 0x0429 "bundle-undecided" Warning,
    /// A bundle was dropped.
    BundleDropped = 0x042A "bundle-dropped" Warning,
    /// Bundles were dropped for room.
    BundlesDropped = 0x042B "bundles-dropped" Warning,
    /// A bundle can't be sent as it is.
    BundleUnsendable = 0x042C "bundle-unsendable" Error,

    /// AOS: the transmitter is open.
    PassOpened = 0x0501 "pass-opened" Info,
    /// LOS: the transmitter is closed.
    PassClosed = 0x0502 "pass-closed" Info,
    /// The pass plan was taken anew.
    PassPlanChanged = 0x0503 "pass-plan-changed" Info,
    /// The orbit's elements are old.
    PassPlanStale = 0x0504 "pass-plan-stale" Warning,
    /// The pass plan can't be used; the one before counts.
    PassPlanUnusable = 0x0505 "pass-plan-unusable" Error,
    /// A message of the bus computer was not understood.
    BusMessage = 0x0510 "bus-message" Warning,
    /// Messages of the bus computer can't be received.
    BusError = 0x0511 "bus-error" Error,
    /// The network refused datagrams of the fast link.
    SendError = 0x0520 "send-error" Error,
    /// The downlink could not go on with a bundle.
    DownlinkError = 0x0521 "downlink-error" Error,
    /// A frame that claims to be a report of the ground was refused.
    ReportRefused = 0x0530 "report-refused" Warning,
    /// Reports of the ground can't be received.
    ReportError = 0x0531 "report-error" Error,

    /// The operator changed the queue.
    QueueChanged = 0x0601 "queue-changed" Info,
    /// Something is wrong with the queue.
    QueueError = 0x0602 "queue-error" Error,
    /// Housekeeping or a log is to go down as a bundle.
    NotesMade = 0x0610 "notes-made" Info,
    /// Housekeeping or a log could not be made.
    NotesFailed = 0x0611 "notes-failed" Error,

    /// An order is done.
    OrderDone = 0x0701 "order-done" Info,
    /// An order was refused.
    OrderRefused = 0x0702 "order-refused" Warning,
    /// An order failed.
    OrderFailed = 0x0703 "order-failed" Error,
    /// A hazardous order is armed.
    OrderArmed = 0x0704 "order-armed" Warning,
    /// A hazardous order is armed no more.
    OrderDisarmed = 0x0705 "order-disarmed" Info,
    /// A frame of the uplink was refused.
    UplinkRefused = 0x0710 "uplink-refused" Warning,
    /// The uplink can't be received.
    UplinkError = 0x0711 "uplink-error" Error,
    /// What was accepted so far of the uplink isn't known: only a re-synchronisation is taken.
    UplinkCountersLost = 0x0712 "uplink-counters-lost" Critical,
    /// The uplink's counters were set by an authenticated re-synchronisation.
    UplinkResynchronised = 0x0713 "uplink-resynchronised" Warning,
    /// A command key was retired.
    CommandKeyRetired = 0x0714 "command-key-retired" Warning,
    /// The command keys can't be used: nothing is taken from the uplink.
    CommandKeysUnusable = 0x0715 "command-keys-unusable" Critical,
    /// The file of command keys has changed and was read anew.
    CommandKeysChanged = 0x0716 "command-keys-changed" Warning,
    /// The file of command keys has changed and can't be used: the keys that were read before stay in use.
    CommandKeysStay = 0x0717 "command-keys-stay" Error,
    /// Something uplinked is whole.
    UploadDone = 0x0720 "upload-done" Info,
    /// Something uplinked is not what it was said to be, or can't be kept.
    UploadFailed = 0x0721 "upload-failed" Error,

    /// A plan was loaded.
    PlanLoaded = 0x0801 "plan-loaded" Info,
    /// A plan was refused.
    PlanRefused = 0x0802 "plan-refused" Error,
    /// A plan began.
    PlanStarted = 0x0803 "plan-started" Info,
    /// A plan is through.
    PlanDone = 0x0804 "plan-done" Info,
    /// A plan ended before it was through.
    PlanAborted = 0x0805 "plan-aborted" Error,
    /// An entry of a plan failed.
    PlanEntryFailed = 0x0806 "plan-entry-failed" Warning,
    /// An entry of a plan was not run.
    PlanEntrySkipped = 0x0807 "plan-entry-skipped" Warning,
    /// Plans want more than is run at once.
    PlanSlowed = 0x0808 "plan-slowed" Warning,
    /// A plan was cancelled.
    PlanCancelled = 0x0809 "plan-cancelled" Warning,
    /// A plan on board can't be used.
    PlanUnusable = 0x080A "plan-unusable" Error,
    /// How far a plan is can't be read.
    PlanRecordDamaged = 0x080B "plan-record-damaged" Error,
    /// An entry of a plan waited in vain.
    PlanWaitMissed = 0x080C "plan-wait-missed" Warning,
    /// An entry of a plan missed its window.
    PlanWindowMissed = 0x080D "plan-window-missed" Warning,
    /// An entry of a plan was too late.
    PlanEntryLate = 0x080E "plan-entry-late" Warning,
    /// A script began.
    ScriptStarted = 0x0810 "script-started" Info,
    /// A script ended by itself.
    ScriptDone = 0x0811 "script-done" Info,
    /// A script failed, or was ended at a limit.
    ScriptFailed = 0x0812 "script-failed" Warning,
    /// Scripts can't be run.
    ScriptError = 0x0813 "script-error" Error,

    /// A parameter was staged.
    ParameterStaged = 0x0901 "parameter-staged" Info,
    /// Parameters are in force, on trial.
    ParametersCommitted = 0x0902 "parameters-committed" Info,
    /// Parameters on trial were confirmed.
    ParametersConfirmed = 0x0903 "parameters-confirmed" Info,
    /// The parameters before are in force again.
    ParametersRolledBack = 0x0904 "parameters-rolled-back" Warning,
    /// A copy of the parameters is damaged.
    ParametersDamaged = 0x0905 "parameters-damaged" Error,

    /// A channel is beyond a yellow limit.
    LimitYellow = 0x0A01 "limit-yellow" Warning,
    /// A channel is beyond a red limit.
    LimitRed = 0x0A02 "limit-red" Error,
    /// A channel is within its limits again.
    LimitClear = 0x0A03 "limit-clear" Info,
    /// Work is shed, or taken up again.
    LoadLevel = 0x0A10 "load-level" Warning,
    /// Parts of frames were shed.
    ProductsShed = 0x0A11 "products-shed" Warning,
    /// A task is stuck.
    TaskStuck = 0x0A12 "task-stuck" Error,
    /// A task that was stuck is back.
    TaskBack = 0x0A13 "task-back" Info,
    /// A sensor can't be read, or says what can't be.
    SensorError = 0x0A14 "sensor-error" Warning,
    /// The payload is in safe mode.
    SafeMode = 0x0A20 "safe-mode" Critical,
    /// Safe mode is over.
    SafeModeOver = 0x0A21 "safe-mode-over" Warning,
    /// The board's watchdog can't be fed.
    WatchdogError = 0x0A22 "watchdog-error" Warning,
    /// The watchdog resets the board when it isn't fed.
    WatchdogStarted = 0x0A24 "watchdog-started" Info,
    /// The watchdog isn't fed any more: the board is to be reset.
    WatchdogUnfed = 0x0A25 "watchdog-unfed" Critical,
    /// The watchdog has reset the board.
    WatchdogReset = 0x0A26 "watchdog-reset" Error,
    /// The supervisor can't be told anything.
    NotifyError = 0x0A27 "notify-error" Warning,
    /// The whole process was held up.
    ProcessHeldUp = 0x0A28 "process-held-up" Warning,
    /// The clock on board was set.
    ClockStep = 0x0A23 "clock-step" Warning,

    /// An update was begun, ended or failed.
    UpdateChanged = 0x0B01 "update-changed" Info,

    /// An event of an earlier program that has no code here.
    Other = 0xFFFF "other" Info,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_are_each_there_once() {
        for code in EventCode::ALL {
            assert_eq!(EventCode::from_code(code.code()), Some(*code));
            assert_eq!(EventCode::from_name(code.name()), Some(*code));
            let doc = EventCode::NAMES.values.iter().find(|v| v.code == code.code()).unwrap().doc;
            assert!(doc.trim().ends_with('.'), "{code}: {doc}");
        }
        assert_eq!(EventCode::DiskReadOnly.usual_severity(), Severity::Critical);
    }
}
