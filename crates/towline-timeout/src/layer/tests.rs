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
