//! The query of `/connz`.

use std::cmp::Reverse;

use mainstem_admin::Query;

use super::snapshot::ConnSnapshot;
use super::{BadRequest, ConnectionsWanted};

/// Entries of one page unless the query says otherwise.
pub(crate) const DEFAULT_LIMIT: usize = 1024;

/// Which connections to show, how, and in which order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnzOptions {
    pub sort: Sort,
    /// Show user and account.
    pub auth: bool,
    pub subscriptions: Subscriptions,
    pub offset: usize,
    pub limit: usize,
    /// Only this connection.
    pub cid: Option<u64>,
    pub mqtt_client: Option<String>,
    pub state: ConnState,
    pub user: Option<String>,
    pub account: Option<String>,
    /// Only connections with a subscription that some subject of this filter reaches.
    pub filter_subject: Option<String>,
}

/// How much of the subscriptions to show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Subscriptions {
    #[default]
    None,
    Subjects,
    Details,
}

/// Open connections, closed ones, or both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConnState {
    #[default]
    Open,
    Closed,
    Any,
}

/// The order of the connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// Growing; also the order of their starts.
    #[default]
    Cid,
    /// From here on falling.
    Subs,
    Pending,
    MsgsTo,
    MsgsFrom,
    BytesTo,
    BytesFrom,
    Last,
    Idle,
    Stop,
    Rtt,
    /// Growing.
    Uptime,
    Reason,
}

impl ConnzOptions {
    pub fn parse(query: &Query) -> Result<Self, BadRequest> {
        let text = |name| query.get(name).map(str::to_owned);
        let auth = query.bool("auth")?;
        let subscriptions = Subscriptions::parse(query)?;
        let (offset, limit) = page(query)?;
        let cid = Some(query.uint("cid")?).filter(|cid| *cid > 0);
        let state = ConnState::parse(query)?;
        let options = Self {
            sort: Sort::parse(query, state)?,
            auth,
            subscriptions,
            offset,
            limit: if cid.is_some() { 1 } else { limit },
            cid,
            mqtt_client: text("mqtt_client"),
            state,
            user: text("user"),
            account: text("acc"),
            filter_subject: text("filter_subject").filter(|filter| filter != ">"),
        };
        if options.filter_subject.is_some() && options.account.is_none() {
            return Err(BadRequest(
                "filter by subject only valid with account filtering".into(),
            ));
        }
        Ok(options)
    }

    /// What a source has to gather for these options.
    #[must_use]
    pub fn wanted(&self) -> ConnectionsWanted {
        ConnectionsWanted {
            open: self.state != ConnState::Closed,
            closed: self.state != ConnState::Open,
            subscriptions: self.subscriptions != Subscriptions::None || self.filter_subject.is_some(),
            account: self.account.clone(),
        }
    }
}

/// `offset` and `limit`; what is not above zero has the default.
pub(crate) fn page(query: &Query) -> Result<(usize, usize), BadRequest> {
    let offset = usize::try_from(query.int("offset")?).unwrap_or(0);
    let limit = usize::try_from(query.int("limit")?)
        .ok()
        .filter(|limit| *limit > 0);
    Ok((offset, limit.unwrap_or(DEFAULT_LIMIT)))
}

impl Subscriptions {
    fn parse(query: &Query) -> Result<Self, BadRequest> {
        if query
            .get("subs")
            .is_some_and(|text| text.eq_ignore_ascii_case("detail"))
        {
            return Ok(Self::Details);
        }
        Ok(if query.bool("subs")? {
            Self::Subjects
        } else {
            Self::None
        })
    }
}

impl ConnState {
    fn parse(query: &Query) -> Result<Self, BadRequest> {
        let Some(text) = query.get("state") else {
            return Ok(Self::Open);
        };
        match text.to_lowercase().as_str() {
            "open" => Ok(Self::Open),
            "closed" => Ok(Self::Closed),
            "any" | "all" => Ok(Self::Any),
            _ => Err(BadRequest(format!("Error decoding state for {text}"))),
        }
    }
}

impl Sort {
    fn parse(query: &Query, state: ConnState) -> Result<Self, BadRequest> {
        let Some(name) = query.get("sort") else {
            return Ok(Self::Cid);
        };
        let sort = match name {
            "cid" | "start" => Self::Cid,
            "subs" => Self::Subs,
            "pending" => Self::Pending,
            "msgs_to" => Self::MsgsTo,
            "msgs_from" => Self::MsgsFrom,
            "bytes_to" => Self::BytesTo,
            "bytes_from" => Self::BytesFrom,
            "last" => Self::Last,
            "idle" => Self::Idle,
            "uptime" => Self::Uptime,
            "stop" => Self::Stop,
            "reason" => Self::Reason,
            "rtt" => Self::Rtt,
            _ => return Err(BadRequest(format!("invalid sorting option: {name}"))),
        };
        if matches!(sort, Self::Stop | Self::Reason) && state != ConnState::Closed {
            return Err(BadRequest(format!(
                "sort by {name} only valid on closed connections"
            )));
        }
        Ok(sort)
    }

    /// Orders `connections`; equal ones by their id.
    pub(crate) fn apply(self, connections: &mut [ConnSnapshot], now: std::time::SystemTime) {
        connections.sort_by_key(|connection| connection.cid);
        let ended = |connection: &ConnSnapshot| connection.end.as_ref().map(|end| end.at);
        let reason = |connection: &ConnSnapshot| connection.end.as_ref().map(|end| end.reason);
        match self {
            Self::Cid => {}
            Self::Subs => connections.sort_by_key(|c| Reverse(c.subscription_count)),
            Self::Pending => connections.sort_by_key(|c| Reverse(c.pending_bytes)),
            Self::MsgsTo => connections.sort_by_key(|c| Reverse(c.traffic.out_messages)),
            Self::MsgsFrom => connections.sort_by_key(|c| Reverse(c.traffic.in_messages)),
            Self::BytesTo => connections.sort_by_key(|c| Reverse(c.traffic.out_bytes)),
            Self::BytesFrom => connections.sort_by_key(|c| Reverse(c.traffic.in_bytes)),
            Self::Last => connections.sort_by_key(|c| Reverse(c.last_activity)),
            // The longest idle is the one whose last activity is oldest.
            Self::Idle => connections.sort_by_key(|c| c.last_activity),
            Self::Stop => connections.sort_by_key(|c| Reverse(ended(c))),
            Self::Rtt => connections.sort_by_key(|c| Reverse(c.rtt)),
            Self::Uptime => connections.sort_by_key(|c| ended(c).unwrap_or(now).duration_since(c.start).ok()),
            Self::Reason => connections.sort_by_key(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(query: &str) -> String {
        ConnzOptions::parse(&Query::parse(query))
            .map(|_| String::new())
            .unwrap_or_else(|problem| problem.0)
    }

    #[test]
    fn defaults() {
        let expected = ConnzOptions {
            limit: 1024,
            ..ConnzOptions::default()
        };
        assert_eq!(ConnzOptions::parse(&Query::parse("")), Ok(expected.clone()));
        assert_eq!(
            ConnzOptions::parse(&Query::parse("limit=-5&offset=-2")),
            Ok(expected)
        );
    }

    #[test]
    fn everything() {
        let query =
            "sort=stop&auth=1&subs=DETAIL&offset=2&limit=3&state=Closed&user=u&acc=A&filter_subject=a.*";
        let expected = ConnzOptions {
            sort: Sort::Stop,
            auth: true,
            subscriptions: Subscriptions::Details,
            offset: 2,
            limit: 3,
            cid: None,
            mqtt_client: None,
            state: ConnState::Closed,
            user: Some("u".into()),
            account: Some("A".into()),
            filter_subject: Some("a.*".into()),
        };
        assert_eq!(ConnzOptions::parse(&Query::parse(query)), Ok(expected));
    }

    #[test]
    fn one_connection_is_one_entry() {
        let options = ConnzOptions::parse(&Query::parse("cid=9&limit=50")).expect("options");
        assert_eq!((options.cid, options.limit), (Some(9), 1));
    }

    #[test]
    fn errors() {
        assert_eq!(error("sort=bad"), "invalid sorting option: bad");
        assert_eq!(
            error("sort=stop"),
            "sort by stop only valid on closed connections"
        );
        assert_eq!(
            error("sort=reason&state=any"),
            "sort by reason only valid on closed connections"
        );
        assert_eq!(error("state=zz"), "Error decoding state for zz");
        assert_eq!(
            error("filter_subject=a"),
            "filter by subject only valid with account filtering"
        );
        assert!(error("subs=zz").starts_with("Error decoding boolean for 'subs'"));
    }
}
