//! The probe finds what is wrong and nothing else.

use std::{future::pending, io, task::Poll};

use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use towline_testkit::{BoxError, Gate, NotReady, Probe, ProbeLayer, Violation};

async fn echo(n: u32) -> Result<u32, io::Error> {
    Ok(n)
}

fn ready<S: Service<u32>>(service: &mut S) -> Poll<Result<(), S::Error>> {
    task::spawn(()).enter(|cx, _| service.poll_ready(cx))
}

#[tokio::test]
async fn a_service_used_well_is_clean() {
    let (service, report) = Probe::new(service_fn(echo));
    assert_eq!(service.clone().oneshot(1).await.unwrap(), 1);
    let mut one = service.clone();
    for n in 0..3 {
        assert_eq!(one.ready().await.unwrap().call(n).await.unwrap(), n);
    }
    report.assert_clean();
    assert_eq!((report.calls(), report.completed(), report.dropped(), report.live()), (4, 4, 0, 0));
    assert_eq!((report.polls(), report.peak(), report.unused()), (4, 1, 0));
}

#[tokio::test]
async fn polling_ready_twice_is_allowed() {
    let (mut service, report) = Probe::with_limit(service_fn(echo), 1);
    assert_ready_ok!(ready(&mut service));
    assert_ready_ok!(ready(&mut service));
    service.call(1).await.unwrap();
    report.assert_clean();
}

#[tokio::test]
async fn a_call_without_readiness_is_found() {
    let (mut service, report) = Probe::new(service_fn(echo));
    service.call(1).await.unwrap();
    assert_eq!(report.violations(), [Violation::CalledWithoutReadiness]);
}

#[tokio::test]
async fn a_call_on_a_clone_of_a_ready_service_is_found() {
    let (mut service, report) = Probe::new(service_fn(echo));
    assert_ready_ok!(ready(&mut service));
    service.clone().call(1).await.unwrap();
    assert_eq!(report.violations(), [Violation::CalledWithoutReadiness]);
}

#[tokio::test]
async fn a_second_call_on_one_readiness_is_found() {
    let (mut service, report) = Probe::new(service_fn(echo));
    assert_ready_ok!(ready(&mut service));
    service.call(1).await.unwrap();
    service.call(2).await.unwrap();
    assert_eq!(report.violations(), [Violation::CalledTwice]);
}

#[tokio::test]
async fn a_call_after_pending_is_found() {
    let (mut service, report) = Probe::new(service_fn(echo));
    report.set_ready(false);
    assert_pending!(ready(&mut service));
    service.call(1).await.unwrap();
    assert_eq!(report.violations(), [Violation::CalledWithoutReadiness]);
}

#[tokio::test]
async fn use_after_an_error_is_found() {
    let (mut service, report) = Probe::new(service_fn(echo));
    report.fail_readiness(1);
    assert!(assert_ready_err!(ready(&mut service)).is::<NotReady>());
    let _ = service.call(1).await;
    assert_ready_ok!(ready(&mut service));
    assert_eq!(report.violations(), [Violation::CalledAfterError, Violation::PolledAfterError]);
    let mut fresh = service.clone();
    assert_ready_ok!(ready(&mut fresh));
    fresh.call(1).await.unwrap();
    assert_eq!(report.violations().len(), 2, "a clone begins anew");
}

#[tokio::test]
async fn a_future_polled_after_its_end_is_found() {
    let (mut service, report) = Probe::new(service_fn(|_: u32| std::future::poll_fn(|_| Poll::Ready(Ok::<_, BoxError>(())))));
    assert_ready_ok!(ready(&mut service));
    let mut call = task::spawn(service.call(1));
    assert_ready_ok!(call.poll());
    assert_ready_ok!(call.poll());
    assert_eq!(report.violations(), [Violation::FuturePolledAfterEnd]);
}

#[tokio::test]
#[should_panic(expected = "CalledWithoutReadiness")]
async fn an_unclean_report_fails_the_test() {
    let (mut service, report) = Probe::new(service_fn(echo));
    service.call(1).await.unwrap();
    report.assert_clean();
}

#[tokio::test]
async fn an_unused_readiness_is_counted_and_is_no_violation() {
    let (service, report) = Probe::new(service_fn(echo));
    let mut clone = service.clone();
    assert_ready_ok!(ready(&mut clone));
    assert_eq!(report.reserved(), 1);
    drop(clone);
    assert_eq!((report.unused(), report.reserved()), (1, 0));
    report.assert_clean();
}

#[tokio::test]
async fn a_limit_is_held_from_readiness_to_the_end_of_the_call() {
    let gate = Gate::new();
    let inner = service_fn(|_: u32| {
        let gate = gate.clone();
        async move {
            gate.pass().await;
            Ok::<_, BoxError>(())
        }
    });
    let (first, report) = Probe::with_limit(inner, 1);
    let (mut first, mut second) = (first.clone(), first);
    assert_ready_ok!(ready(&mut first));
    let mut waiting = task::spawn(second.ready());
    assert_pending!(waiting.poll());
    let mut call = task::spawn(first.call(1));
    assert_pending!(call.poll());
    assert_eq!((report.live(), report.reserved()), (1, 0));
    assert!(!waiting.is_woken());
    gate.open();
    assert!(call.is_woken());
    assert_ready_ok!(call.poll());
    assert!(waiting.is_woken(), "the end of the call frees the place, not the drop of its future");
    assert_ready_ok!(waiting.poll());
    report.assert_clean();
}

#[tokio::test]
async fn dropped_readiness_and_dropped_calls_free_their_place() {
    let (service, report) = Probe::with_limit(service_fn(|_: u32| pending::<Result<(), BoxError>>()), 1);
    let mut clone = service.clone();
    assert_ready_ok!(ready(&mut clone));
    drop(clone);
    let mut clone = service.clone();
    assert_ready_ok!(ready(&mut clone));
    drop(clone.call(1));
    assert_ready_ok!(ready(&mut service.clone()));
    assert_eq!((report.dropped(), report.live(), report.unused()), (1, 0, 2));
    report.abandoned(1).await;
    report.called(1).await;
}

#[tokio::test]
async fn a_pending_probe_wakes_who_waits_when_it_is_ready() {
    let (mut service, report) = Probe::new(service_fn(echo));
    report.set_ready(false);
    let mut waiting = task::spawn(service.ready());
    assert_pending!(waiting.poll());
    report.set_ready(true);
    assert!(waiting.is_woken());
    assert_ready_ok!(waiting.poll());
}

#[tokio::test]
async fn a_place_taken_before_the_inner_service_is_ready_is_no_readiness() {
    let (inner, inner_report) = Probe::new(service_fn(echo));
    let (mut outer, report) = Probe::new(inner);
    inner_report.set_ready(false);
    assert_pending!(ready(&mut outer));
    outer.call(1).await.unwrap();
    assert_eq!(report.violations(), [Violation::CalledWithoutReadiness]);
    assert_eq!((report.reserved(), report.unused()), (0, 0));
}

#[tokio::test]
async fn a_layer_shares_one_report_among_its_services() {
    let (layer, report) = ProbeLayer::with_limit(8);
    let service = ServiceBuilder::new().concurrency_limit(2).layer(layer.clone()).service_fn(echo);
    service.clone().oneshot(1).await.unwrap();
    ServiceBuilder::new().layer(layer).service_fn(echo).oneshot(2).await.unwrap();
    assert_eq!(report.calls(), 2);
    report.assert_clean();
}

#[test]
fn all_of_it_goes_from_thread_to_thread() {
    fn send_sync<T: Send + Sync>(_: &T) {}
    fn send<T: Send>(_: &T) {}
    let (mut service, report) = Probe::new(service_fn(echo));
    send_sync(&service);
    send_sync(&report);
    send(&service.call(1));
    send(&towline_testkit::ScriptedBody::new());
}
