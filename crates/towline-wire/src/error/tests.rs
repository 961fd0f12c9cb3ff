use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use towline_core::{Dialect, Failure, FailureKind, Origin, RetryVerdict, Scope};

use super::{Answer, Report, conclude, rules};

/// At least one record for each rule: status (0 for none, as in a stream), code, message, and what it means.
const RECORDS: &str = include_str!("records.tsv");

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap())).collect()
}

fn failure(status: u16, head: &[(&'static str, &str)], body: &str) -> Failure {
    let headers = headers(head);
    let answer =
        Answer { status: StatusCode::from_u16(status).unwrap(), headers: &headers, body: body.as_bytes(), dialect: None };
    answer.failure(SystemTime::UNIX_EPOCH).unwrap()
}

fn wait(status: u16, head: &[(&'static str, &str)], body: &str) -> Option<f64> {
    failure(status, head, body).hint.retry_after.map(|d| d.as_secs_f64())
}

fn body(code: &str, message: &str) -> Value {
    match code.split_once(':') {
        Some(("param", param)) => json!({ "param": param, "message": message }),
        Some(("minimax", code)) => json!({ "base_resp": { "status_code": code.parse::<i64>().unwrap(), "status_msg": message } }),
        _ if code == "-" => json!({ "error": { "message": message } }),
        _ => json!({ "error": { "code": code, "message": message } }),
    }
}

fn said(failure: &Failure) -> String {
    let retry = match failure.retry {
        RetryVerdict::Never => "never",
        RetryVerdict::Once => "once",
        _ => "backoff",
    };
    format!("{} {:?} {retry}", failure.kind, failure.scope).to_ascii_lowercase()
}

#[test]
fn every_rule_has_a_record_and_every_record_its_meaning() {
    let mut reports = Vec::new();
    let mut wrong = Vec::new();
    for line in RECORDS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let [status, code, message, want] = line.split('\t').collect::<Vec<_>>().try_into().unwrap();
        let body = body(code, message);
        let report = match status.parse().unwrap() {
            0 => Report::of_value(&body),
            status => Report::of_body(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.to_string().as_bytes()),
        };
        let got = said(&conclude(&report, None));
        if got != want {
            wrong.push(format!("{line}\n    but got {got}"));
        }
        reports.push(report);
    }
    let unseen =
        rules::ALL.iter().flat_map(|table| table.iter()).filter(|rule| !reports.iter().any(|report| rule.matches(report)));
    wrong.extend(unseen.map(|rule| format!("no record for {rule:?}")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_status_alone_has_a_meaning() {
    for (status, want) in [
        (302, "unknown provider backoff"),
        (400, "invalid_request request never"),
        (401, "auth credential never"),
        (402, "quota_exhausted credential never"),
        (403, "permission credential never"),
        (404, "not_found model never"),
        (408, "timeout provider backoff"),
        (409, "conflict request once"),
        (410, "not_found model never"),
        (413, "payload_too_large model never"),
        (415, "invalid_request model never"),
        (424, "server_error provider backoff"),
        (429, "rate_limit credential backoff"),
        (446, "content_policy request never"),
        (451, "content_policy model never"),
        (498, "overloaded provider backoff"),
        (499, "timeout request never"),
        (500, "server_error provider backoff"),
        (501, "invalid_request model never"),
        (503, "overloaded provider backoff"),
        (504, "timeout provider backoff"),
        (505, "server_error model never"),
        (520, "server_error provider backoff"),
        (522, "timeout provider backoff"),
        (529, "overloaded provider backoff"),
        (999, "unknown provider backoff"),
    ] {
        for body in ["", "<html><body>rate limit, prompt is too long</body></html>", "\u{0}\u{1}"] {
            assert_eq!(said(&failure(status, &[], body)), want, "{status} {body:?}");
        }
    }
    assert_eq!(failure(499, &[], "").origin, Origin::Caller);
    assert_eq!(said(&failure(498, &[], r#"{"message":"invalid token"}"#)), "auth credential never", "Cohere's has a message");
}

#[test]
fn a_code_that_no_table_knows_is_read_as_words() {
    let code =
        |status, code: &str| said(&failure(status, &[], &json!({ "error": { "code": code, "message": "No." } }).to_string()));
    assert_eq!(code(429, "team_monthly_quota_reached"), "quota_exhausted credential never");
    assert_eq!(code(422, "context_length_overflow"), "context_length model never");
    assert_eq!(code(400, "some_other_thing"), "invalid_request request never");
}

#[test]
fn numbers_prove_that_a_request_never_fits() {
    let tokens =
        |text: &str| said(&failure(429, &[], &json!({"error": {"message": text, "code": "rate_limit_exceeded"}}).to_string()));
    assert_eq!(tokens("Limit 30000, Requested 30601."), "payload_too_large model never");
    assert_eq!(tokens("Limit 30000, Used 29999, Requested 601."), "rate_limit credential backoff");
    let full = [("x-ratelimit-limit-tokens", "90"), ("x-ratelimit-remaining-tokens", "90"), ("x-ratelimit-reset-tokens", "0s")];
    assert_eq!(said(&failure(429, &full, r#"{"error":{"type":"tokens","message":"no"}}"#)), "payload_too_large model never");
    let long = |longest: u32| {
        failure(
            400,
            &[],
            &format!(
                r#"{{"error":{{"code":"string_above_max_length","message":"Expected a string with maximum length {longest}"}}}}"#
            ),
        )
        .kind
    };
    assert_eq!(long(64), FailureKind::InvalidRequest);
    assert_eq!(long(10_485_760), FailureKind::PayloadTooLarge);
}

#[test]
fn googles_quotas_are_told_apart_by_their_ids() {
    let quota = |id: &str, value: &str| {
        let details = json!([{"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": id, "quotaValue": value}]}]);
        said(&failure(429, &[], &json!({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "You exceeded your current quota", "details": details}}).to_string()))
    };
    assert_eq!(quota("GenerateRequestsPerMinutePerProject", "10"), "rate_limit credential backoff");
    assert_eq!(quota("GenerateRequestsPerDayPerProject", "10"), "quota_exhausted model never");
    assert_eq!(quota("GenerateRequestsPerMinutePerProject", "0"), "quota_exhausted model never");
}

#[test]
fn an_error_inside_an_error_is_found() {
    let inner = r#"{"error":{"code":"insufficient_quota","message":"x"}}"#;
    let quota = "quota_exhausted credential never";
    let in_text =
        json!({"error": {"message": format!("litellm.RateLimitError: OpenAIException - {inner}\nNo fallback."), "code": "429"}});
    assert_eq!(said(&failure(429, &[], &in_text.to_string())), quota);
    let raw = json!({"error": {"message": "Provider returned error", "code": 429, "metadata": {"raw": inner}}});
    assert_eq!(said(&failure(429, &[], &raw.to_string())), quota);
    assert_eq!(said(&failure(429, &[], &format!("[{inner}]"))), quota);
    assert_eq!(said(&failure(429, &[], &json!(inner).to_string())), quota);
    assert_eq!(said(&failure(429, &[], &format!("event:error\n:HTTP_STATUS/429\ndata:{inner}\n\n"))), quota);
    assert_eq!(
        said(&failure(400, &[], "{\"message\":\"prompt is\n too long: prompt is too long\"}")),
        "context_length model never",
        "a raw line break"
    );
    assert_eq!(
        said(&failure(400, &[("x-amzn-errortype", "ThrottlingException:http://x/")], "{}")),
        "rate_limit credential backoff"
    );
}

#[test]
fn the_wait_is_found_wherever_it_stands() {
    assert_eq!(wait(429, &[("retry-after", "3")], r#"{"error":{"message":"try again in 5s"}}"#), Some(3.0), "the header first");
    assert_eq!(wait(429, &[("retry-after", "30s")], ""), Some(30.0));
    assert_eq!(wait(429, &[("x-ratelimit-timeremaining", "8")], ""), Some(8.0));
    assert_eq!(wait(429, &[], r#"{"error":{"message":"Please try again in 1m2.5s."}}"#), Some(62.5));
    let info = r#"{"error":{"message":"Please retry in 48.94s.","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"48s"}]}}"#;
    assert_eq!(wait(429, &[], info), Some(48.0));
    assert_eq!(wait(429, &[], r#"{"error":{"type":"usage_limit_reached","resets_in_seconds":90}}"#), Some(90.0));
    assert_eq!(wait(503, &[], r#"{"error":"Model x is currently loading","estimated_time":20.5}"#), Some(20.5));
    assert_eq!(wait(400, &[], r#"{"message":"If you did it already, try again in 15 minutes."}"#), None);
    assert_eq!(wait(429, &[], r#"{"error":{"message":"it resets at 1795262460","expectedQueueDelayInMs":5}}"#), None);
    assert_eq!(failure(429, &[("x-should-retry", "false")], "").hint.should_retry, Some(false));
}

#[test]
fn an_hour_is_too_long_to_wait() {
    let hour = failure(429, &[("retry-after", "3600")], "");
    assert_eq!(
        (hour.kind, hour.retry, hour.hint.retry_after),
        (FailureKind::RateLimited, RetryVerdict::Never, Some(Duration::from_secs(3600)))
    );
    assert_eq!(failure(429, &[("retry-after", "3599")], "").retry, RetryVerdict::Backoff);
}

#[test]
fn a_success_may_be_a_failure() {
    let none = HeaderMap::new();
    let read = |body: &str, dialect| {
        Answer { status: StatusCode::OK, headers: &none, body: body.as_bytes(), dialect }
            .failure(SystemTime::UNIX_EPOCH)
            .map(|f| said(&f))
    };
    for (body, want) in [
        (r#"{"error":{"code":502,"message":"x"}}"#, "server_error provider backoff"),
        (r#"{"error":"rate limit reached for x","status":429}"#, "rate_limit credential backoff"),
        (r#"{"object":"error","code":404,"message":"x"}"#, "not_found model never"),
        (r#"{"type":"error","error":{"type":"overloaded_error"}}"#, "overloaded provider backoff"),
        (r#"[{"error":{"code":503,"status":"UNAVAILABLE"}}]"#, "overloaded provider backoff"),
        (r#"{"choices":[{"error":{"code":429}}]}"#, "rate_limit credential backoff"),
        (r#"{"choices":[{"finish_reason":"error","message":{"content":"x"}}]}"#, "server_error provider backoff"),
        (
            r#"{"choices":[{"finish_reason":"stop","native_finish_reason":"PROHIBITED_CONTENT","message":{"content":""}}]}"#,
            "content_policy model never",
        ),
        (
            r#"{"choices":[{"finish_reason":"insufficient_system_resource","message":{"content":"x"}}]}"#,
            "overloaded provider backoff",
        ),
        (r#"{"id":"1","finish_reason":"ERROR","message":{"role":"assistant"}}"#, "server_error provider backoff"),
        (r#"{"choices":[{"finish_reason":"content_filter","message":{"content":"x"}}]}"#, "content_policy model never"),
        (r#"{"choices":[{"finish_reason":"stop","message":{"content":null,"refusal":"no"}}]}"#, "content_policy model never"),
        (r#"{"choices":[{"finish_reason":"stop","message":{"content":""}}]}"#, "malformed provider backoff"),
        (
            r#"{"object":"response","status":"failed","error":{"code":"server_error","message":"x"}}"#,
            "server_error provider backoff",
        ),
        (
            r#"{"object":"response","status":"incomplete","incomplete_details":{"reason":"content_filter"},"output":[]}"#,
            "content_policy model never",
        ),
        (
            r#"{"object":"response","status":"completed","output":[{"content":[{"type":"refusal"}]}]}"#,
            "content_policy model never",
        ),
        (r#"{"object":"response","status":"completed","output":[]}"#, "malformed provider backoff"),
        (r#"{"type":"message","stop_reason":"refusal","content":[{"type":"text","text":"x"}]}"#, "content_policy model never"),
        (r#"{"type":"message","stop_reason":"end_turn","content":[]}"#, "malformed provider backoff"),
        (r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#, "content_policy model never"),
        (r#"{"promptFeedback":{"blockReason":"MODEL_ARMOR"}}"#, "content_policy request never"),
        (r#"{"candidates":[{"finishReason":"RECITATION"}]}"#, "content_policy model never"),
        (r#"{"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL"}]}"#, "server_error model backoff"),
        (r#"{"candidates":[{"finishReason":"OTHER"}]}"#, "unknown provider backoff"),
        (r#"{"candidates":[{"content":{"parts":[{"text":""}]},"finishReason":"STOP"}]}"#, "malformed provider backoff"),
        (r#"{"predictions":[{"raiFilteredReason":"x"}]}"#, "content_policy model never"),
        (
            r#"{"stopReason":"guardrail_intervened","output":{"message":{"content":[{"text":"x"}]}}}"#,
            "content_policy request never",
        ),
        (r#"{"stopReason":"content_filtered","output":{}}"#, "content_policy model never"),
        (r#"{"stopReason":"end_turn","output":{"message":{"content":[]}}}"#, "malformed provider backoff"),
        (r#"{"code":500,"msg":"404 NOT_FOUND","success":false}"#, "server_error provider backoff"),
        (
            r#"{"Output":{"__type":"com.amazon.coral.service#UnknownOperationException"},"Version":"1.0"}"#,
            "not_found model never",
        ),
        (r#"{"base_resp":{"status_code":1002,"status_msg":"x"}}"#, "rate_limit credential backoff"),
    ] {
        assert_eq!(read(body, None).as_deref(), Some(want), "{body}");
    }
    for body in [
        r#"{"choices":[{"finish_reason":"length","message":{"content":"x"}}]}"#,
        r#"{"choices":[{"finish_reason":"tool_calls","message":{"content":null,"tool_calls":[{"id":"1"}]}}]}"#,
        r#"{"object":"response","status":"incomplete","error":null,"output":[{"type":"message","content":[{"type":"output_text","text":"x"}]}]}"#,
        r#"{"type":"message","stop_reason":"max_tokens","content":[{"type":"text","text":"x"}]}"#,
        r#"{"candidates":[{"content":{"parts":[{"text":"x"}]},"finishReason":"MAX_TOKENS"}]}"#,
        r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f"}}]}}]}"#,
        r#"{"stopReason":"guardrail_intervened","output":{},"trace":{"guardrail":{"actionReason":"Guardrail masked."}}}"#,
        r#"{"predictions":[{"bytes":"x"},{"raiFilteredReason":"x"}]}"#,
        r#"{"base_resp":{"status_code":0}}"#,
        r#"{"object":"list","data":[]}"#,
        r#"{"any":"thing"}"#,
        "plain text",
        "",
    ] {
        assert_eq!(read(body, None), None, "{body}");
    }
    let odd = Some("malformed provider backoff".to_owned());
    for body in [r#"{"any":"thing"}"#, "[]", "17", "plain text", "", "{"] {
        let want = if body == "[]" { None } else { odd.clone() };
        assert_eq!(read(body, Some(Dialect::Gemini)), want, "{body}");
    }
    let json = headers(&[("content-type", "application/json; charset=utf-8")]);
    let cut = Answer { status: StatusCode::OK, headers: &json, body: b"{\"choices\":[", dialect: None };
    assert_eq!(cut.failure(SystemTime::UNIX_EPOCH).map(|f| f.kind), Some(FailureKind::Malformed));
    assert_eq!(cut.failure(SystemTime::UNIX_EPOCH).map(|f| f.scope), Some(Scope::Provider));
}
