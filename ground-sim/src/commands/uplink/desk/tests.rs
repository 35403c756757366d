//! Several processes at one outbox: who works it, and what it hears.

use super::*;
use crate::commands::role_keys;
use passband_proto::sdls::Role;

fn args(dir: &std::path::Path, to: Option<SocketAddr>) -> UplinkArgs {
    let holder = HolderArgs { keys: dir.join("operator"), spi: None, state: dir.join("outbox") };
    let telemetry = TelemetryArgs::default();
    UplinkArgs { holder, to, rate: 9600, vcid: 0, arm_time: None, telemetry }
}

#[test]
fn when_who_works_the_outbox_ends_another_takes_over() {
    let dir = tempfile::tempdir().unwrap();
    role_keys::add(1, 2, Role::Operator, &dir.path().join("operator"), None).unwrap();
    let to = Some("127.0.0.1:9".parse().unwrap());
    assert!(Desk::open(&args(dir.path(), None)).unwrap_err().to_string().contains("--to"));
    let first = Desk::open(&args(dir.path(), to)).unwrap();
    let mut second = Desk::open(&args(dir.path(), to)).unwrap();
    let mut third = Desk::open(&args(dir.path(), None)).unwrap();
    let number = second.queue(Mode::Run, &Order::Ping {}).unwrap().number;
    second.turn().unwrap();
    assert!(matches!((&first, &second), (Desk::Works(_), Desk::Queues(_))));
    drop(first);
    third.turn().unwrap();
    assert!(matches!(third, Desk::Queues(_)), "it doesn't know where to send");
    second.turn().unwrap();
    assert!(matches!(second, Desk::Works(_)));
    second.turn().unwrap();
    assert_eq!(second.order(number).unwrap().unwrap().sent, 1);
}

#[test]
fn who_hears_beside_another_process_takes_over_with_what_that_one_heard() {
    let dir = tempfile::tempdir().unwrap();
    role_keys::add(1, 2, Role::Operator, &dir.path().join("operator"), None).unwrap();
    let to = Some("127.0.0.1:9".parse().unwrap());
    let spare = || std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (main, forwarded) = (spare(), spare());
    let first = std::net::UdpSocket::bind(main).unwrap();
    let worker = Desk::open(&args(dir.path(), to)).unwrap();
    let mut args = args(dir.path(), to);
    assert!(args.telemetry.ensure_any().is_err());
    args.telemetry.telemetry = vec![forwarded, main];
    args.telemetry.ensure_any().unwrap();
    let mut desk = Desk::open(&args).unwrap();
    let mut ears = Some(Ears::open(&args.telemetry).unwrap());
    assert_eq!(ears.as_ref().unwrap().sources(), 1, "the other process has one");
    assert!(!desk.take_over(Some(&mut ears)).unwrap() && ears.is_some());
    drop((worker, first));
    assert!(desk.take_over(Some(&mut ears)).unwrap() && ears.is_none());
    let Desk::Works(worker) = &desk else { panic!("it works") };
    assert_eq!(worker.feed().sources(), 2);
}

#[test]
fn what_is_let_go_after_the_outbox_is_heard_a_moment_later() {
    for with_ears in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        role_keys::add(1, 2, Role::Operator, &dir.path().join("operator"), None).unwrap();
        let to = Some("127.0.0.1:9".parse().unwrap());
        let spare = || std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let (first, forwarded) = (spare(), spare().local_addr().unwrap());
        let worker = Desk::open(&args(dir.path(), to)).unwrap();
        let mut args = args(dir.path(), to);
        args.telemetry.telemetry = vec![forwarded, first.local_addr().unwrap()];
        let mut desk = Desk::open(&args).unwrap();
        let mut ears = with_ears.then(|| Ears::open(&args.telemetry).unwrap());
        drop(worker);
        assert!(desk.take_over(with_ears.then_some(&mut ears)).unwrap());
        let sources = |desk: &Desk| {
            let Desk::Works(worker) = desk else { panic!("it works") };
            (worker.feed().sources(), worker.feed().taken().len())
        };
        assert_eq!(sources(&desk), (1, 1), "the process that ends has it still");
        drop(first);
        let until = std::time::Instant::now() + Duration::from_secs(10);
        while sources(&desk) != (2, 0) {
            desk.turn().unwrap();
            assert!(std::time::Instant::now() < until);
        }
    }
}

#[test]
fn what_is_only_put_into_the_outbox_wants_no_address() {
    let dir = tempfile::tempdir().unwrap();
    role_keys::add(1, 2, Role::Operator, &dir.path().join("operator"), None).unwrap();
    let mut desk = Desk::only_queue(&args(dir.path(), None)).unwrap();
    let number = desk.queue(Mode::Run, &Order::Ping {}).unwrap().number;
    desk.turn().unwrap();
    assert_eq!(desk.order(number).unwrap().unwrap().sent, 0);
}

#[test]
fn what_can_t_be_heard_is_said_at_once_beside_who_works_the_outbox() {
    let dir = tempfile::tempdir().unwrap();
    role_keys::add(1, 2, Role::Operator, &dir.path().join("operator"), None).unwrap();
    let args = args(dir.path(), Some("127.0.0.1:9".parse().unwrap()));
    let _first = Desk::open(&args).unwrap();
    let with = |telemetry: TelemetryArgs| {
        Desk::open(&UplinkArgs { telemetry, ..args.clone() }).map(drop).map_err(|e| format!("{e:#}"))
    };
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let heard = |address: SocketAddr| TelemetryArgs { telemetry: vec![address], ..TelemetryArgs::default() };
    with(heard(taken.local_addr().unwrap())).unwrap();
    // An address of nobody's here (RFC 5737).
    let typo = with(heard("192.0.2.1:47020".parse().unwrap())).unwrap_err();
    assert!(typo.contains("telemetry") && typo.contains("192.0.2.1"), "{typo}");
    let keys =
        TelemetryArgs { telemetry_keys: Some(dir.path().join("none.txt")), ..TelemetryArgs::default() };
    assert!(with(keys).unwrap_err().contains("none.txt"));
}
