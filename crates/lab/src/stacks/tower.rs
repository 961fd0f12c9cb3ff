//! tower's own layers, as far as they do without a task of their own.

use std::{future, io, sync::Arc, time::Duration};

use http::{Request, Response};
use tower::{
    ServiceBuilder,
    retry::{
        Policy,
        budget::{Budget, TpsBudget},
    },
};

use crate::{
    provider::{Body, Provider},
    stack::Stack,
};

/// Longer than any call, so that no limit is ever met.
const LONG: Duration = Duration::from_secs(60);

pub(super) fn stacks(provider: &Provider) -> Vec<Stack> {
    let new = || ServiceBuilder::new();
    vec![
        Stack::new("tower/timeout", provider, new().timeout(LONG).service(provider.clone())),
        Stack::new("tower/retry", provider, new().retry(Twice::new()).service(provider.clone())),
        Stack::new("tower/concurrency", provider, new().concurrency_limit(1000).service(provider.clone())),
        Stack::new("tower/load-shed", provider, new().load_shed().service(provider.clone())),
        Stack::new(
            "tower/four",
            provider,
            new().timeout(LONG).load_shed().concurrency_limit(1000).retry(Twice::new()).service(provider.clone()),
        ),
    ]
}

/// Two retries, if the budget allows; a policy such as each user of tower's retry has to write.
#[derive(Clone, Debug)]
struct Twice {
    left: u8,
    budget: Arc<TpsBudget>,
}

impl Twice {
    fn new() -> Self {
        Self { left: 2, budget: Arc::default() }
    }
}

impl Policy<Request<Body>, Response<Body>, io::Error> for Twice {
    type Future = future::Ready<()>;

    fn retry(&mut self, _: &mut Request<Body>, result: &mut Result<Response<Body>, io::Error>) -> Option<Self::Future> {
        if result.as_ref().is_ok_and(|response| !response.status().is_server_error()) {
            self.budget.deposit();
            return None;
        }
        if self.left == 0 || !self.budget.withdraw() {
            return None;
        }
        self.left -= 1;
        Some(future::ready(()))
    }

    fn clone_request(&mut self, request: &Request<Body>) -> Option<Request<Body>> {
        Some(request.clone())
    }
}
