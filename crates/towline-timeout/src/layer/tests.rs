use towline_core::Phase;

use super::*;

#[test]
fn a_limit_of_zero_is_refused_by_name() {
    let (new, zero, second) = (TimeoutLayer::new, Duration::ZERO, Duration::from_secs(1));
    for (refused, field) in [
        (new().head(zero), "head"),
        (new().first_content(zero), "first_content"),
        (new().idle(zero), "idle"),
        (new().content_idle(zero), "content_idle"),
        (new().min_throughput(0, second), "min_throughput"),
        (new().min_throughput(1, zero), "window"),
        (new().total(zero), "total"),
        (new().stream_total(zero), "stream_total"),
    ] {
        assert_eq!(refused.unwrap_err().field(), field);
    }
}

#[test]
fn what_is_set_for_streams_alone_replaces_what_was_set_for_all() -> Result<(), InvalidConfig> {
    let secs = Duration::from_secs;
    let limits = TimeoutLayer::chat().head(secs(9))?.first_content(secs(5))?.total(secs(8))?.stream_total(secs(7))?.limits();
    assert_eq!((limits.head, limits.first_content), (Some(secs(9)), Some(secs(5))));
    assert_eq!((limits.total, limits.stream_total), (Some(secs(8)), Some(secs(7))));
    Ok(())
}

#[test]
fn a_targets_own_limits_take_the_place_of_the_layers_and_of_the_profiles() -> Result<(), InvalidConfig> {
    let secs = Duration::from_secs;
    let target = Target::new("t", "http://host")?;
    let slow = TimeoutLayer::reasoning().limits();
    for layer in [TimeoutLayer::chat(), TimeoutLayer::new().profile(move |_, _| Some(slow))] {
        let of = |target: Option<&Target>| layer.config.own_limits(None, target).map_or(layer.config.limits, |limits| *limits);
        let theirs = of(Some(&target));
        assert_eq!(theirs, of(None));

        let own = of(Some(&target.clone().with_timeout(Phase::Head, secs(9))?.with_timeout(Phase::Total, secs(8))?));
        assert_eq!((own.head, own.first_content), (Some(secs(9)), Some(secs(9))));
        assert_eq!((own.total, own.stream_total), (Some(secs(8)), Some(secs(8))));
        assert_eq!((own.idle, own.content_idle, own.floor), (theirs.idle, theirs.content_idle, theirs.floor));

        let stream = target.clone().with_timeout(Phase::FirstContent, secs(7))?.with_timeout(Phase::Head, secs(9))?;
        let own = of(Some(&stream.with_timeout(Phase::Idle, secs(6))?.with_timeout(Phase::ContentIdle, secs(5))?));
        assert_eq!((own.head, own.first_content), (Some(secs(9)), Some(secs(7))));
        assert_eq!((own.idle, own.content_idle), (Some(secs(6)), Some(secs(5))));
    }
    Ok(())
}
