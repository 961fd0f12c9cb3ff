use super::*;

#[test]
fn nonsense_is_refused_by_name() {
    let (new, second) = (CircuitBreakerLayer::new, Duration::from_secs(1));
    let refused = [
        (new().consecutive_failures(0), "consecutive_failures"),
        (new().without_failure_ratio().unwrap().without_consecutive_failures(), "consecutive_failures"),
        (new().without_consecutive_failures().unwrap().without_failure_ratio(), "failure_ratio"),
        (new().failure_ratio(0.0, second, 10), "ratio"),
        (new().failure_ratio(1.1, second, 10), "ratio"),
        (new().failure_ratio(f64::NAN, second, 10), "ratio"),
        (new().failure_ratio(-0.5, second, 10), "ratio"),
        (new().failure_ratio(1e-9, second, 10), "ratio"),
        (new().failure_ratio(0.5, second / 2, 10), "window"),
        (new().failure_ratio(0.5, second * 3601, 10), "window"),
        (new().failure_ratio(0.5, second, 0), "min_samples"),
        (new().slow_ratio(Duration::ZERO, 0.5, second, 10), "limit"),
        (new().slow_ratio(second, 2.0, second, 10), "ratio"),
        (new().ramp(Duration::ZERO), "ramp"),
        (new().failures_in(0, second), "failures_in"),
        (new().failures_in(5, Duration::ZERO), "window"),
        (new().failures_in(5, Duration::MAX), "window"),
        (new().open_for(Duration::ZERO, second), "first"),
        (new().open_for(second, second / 2), "longest"),
        (new().open_for(second, Duration::MAX), "longest"),
        (new().probes(0), "probes"),
        (new().success_threshold(0), "success_threshold"),
        (new().probe_deadline(Duration::ZERO), "probe_deadline"),
    ];
    for (result, field) in refused {
        assert_eq!(result.unwrap_err().field(), field);
    }
}

#[test]
fn each_rule_may_be_off_but_not_all() -> Result<(), InvalidConfig> {
    let layer = CircuitBreakerLayer::new().failures_in(5, Duration::from_secs(60))?;
    let layer = layer.without_consecutive_failures()?.without_failure_ratio()?;
    assert!(layer.breaker.settings.policy.rules.consecutive.is_none());
    assert!(layer.consecutive_failures(3)?.breaker.settings.policy.rules.consecutive.is_some());
    Ok(())
}
