//! The options of `receive` that say where alerts are told.

use std::path::Path;

use anyhow::Result;
use clap::Args;

use crate::webhook::{Limits, Target, Webhook};

/// Where alerts are told.
#[derive(Debug, Args)]
pub(super) struct WebhookArgs {
    /// Tell each alert to this webhook at once, and its picture when it is down: an http or https address of
    /// Slack, Mattermost, Discord or anything that takes JSON. What could not be told is told later (OUT/webhook).
    #[arg(long = "webhook", value_name = "URL")]
    url: Option<String>,
    /// In whose name.
    #[arg(long = "webhook-name", value_name = "NAME", default_value = "Robin", requires = "url")]
    name: String,
    /// A header of each request, such as 'Authorization: Bearer …'. May be given several times.
    #[arg(long = "webhook-header", value_name = "K: V", requires = "url")]
    headers: Vec<String>,
}

impl WebhookArgs {
    /// The webhook, if one is asked for. One that can't be begun is told of: reception goes on without.
    ///
    /// # Errors
    /// The options can't be used.
    pub(super) fn start(&self, out: &Path) -> Result<Option<Webhook>> {
        let Some(url) = &self.url else { return Ok(None) };
        let target = Target::new(url, &self.name, &self.headers)?;
        let webhook = Webhook::start(out, &target, Limits::default());
        if let Err(e) = &webhook {
            eprintln!("passband-ground receive: alerts are NOT told: {e:#}");
        }
        Ok(webhook.ok())
    }
}
