"""Transport of alerts: check, call, answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from prometheus_client import Counter

from services.alerts import check, paging
from services.alerts.channels import Channel
from services.alerts.chores import Raiser
from services.alerts.grouping import Grouping
from services.alerts.rules import Rules
from services.alerts.selection import Filter
from services.alerts.store import AlertStore, Position
from services.alerts.store_deliveries import DeliveryStore
from services.alerts.store_incidents import IncidentStore, checked_number
from services.common.clock import Clock
from services.common.errors import InvalidArgument, NotFound
from services.common.telemetry import Telemetry, keep_current_trace
from usher.alerts.v1 import alerts_pb2, alerts_pb2_grpc

_WATCH_BATCH = 256
_SIGN_OF_LIFE_S = 1.0
_FIRST = 1 << 62
_SHOWN = 100


class AlertsServicer(alerts_pb2_grpc.AlertsServiceServicer):
    """Answers usher.alerts.v1.AlertsService."""

    def __init__(
        self,
        store: AlertStore,
        deliveries: DeliveryStore,
        incidents: IncidentStore,
        raiser: Raiser,
        rules: Rules,
        channels: dict[str, Channel],
        *,
        telemetry: Telemetry,
        clock: Clock,
    ) -> None:
        self._store = store
        self._deliveries = deliveries
        self._incidents = incidents
        self._raiser = raiser
        self._rules = rules
        self._channels = channels
        self._clock = clock
        self._watchers: set[asyncio.Event] = set()
        self._messages = Counter(
            "usher_alerts_messages",
            "Messages by what became of them.",
            ("status",),
            registry=telemetry.registry,
        )

    def changed(self) -> None:
        """Wakes those who watch: something was committed."""
        for watcher in self._watchers:
            watcher.set()

    async def RaiseAlerts(
        self, request: alerts_pb2.RaiseAlertsRequest, context: Any
    ) -> alerts_pb2.RaiseAlertsResponse:
        if not request.messages:
            raise InvalidArgument("MESSAGES_MISSING", "messages must hold at least one message")
        if len(request.messages) > check.MAX_MESSAGES:
            raise InvalidArgument(
                "TOO_MANY_MESSAGES",
                f"messages must be {check.MAX_MESSAGES} or fewer, not {len(request.messages)}",
                metadata={"limit": str(check.MAX_MESSAGES)},
            )
        faults = [check.violations(message) for message in request.messages]
        valid = [message for message, found in zip(request.messages, faults, strict=True) if not found]
        kept = iter(await self._raiser.raise_messages(valid))
        results = [
            alerts_pb2.RaiseResult(status=alerts_pb2.RAISE_STATUS_INVALID, error=check.describe(found))
            if found
            else next(kept)
            for found in faults
        ]
        # Someone will look at what led here.
        keep_current_trace()
        for result in results:
            status = alerts_pb2.RaiseStatus.Name(result.status).removeprefix("RAISE_STATUS_").lower()
            self._messages.labels(status).inc()
        return alerts_pb2.RaiseAlertsResponse(results=results)

    # -- reading -----------------------------------------------------------------------------------

    async def ListAlerts(
        self, request: alerts_pb2.ListAlertsRequest, context: Any
    ) -> alerts_pb2.ListAlertsResponse:
        check.tenant(request.tenant)
        which = check.selection(request)
        size = paging.page_size(request.page_size)
        listed = paging.list_name(request)
        after = None
        if request.page_token:
            after = Position(*paging.decode(request.page_token, listed))
        # One more than asked: whether there is a next page.
        alerts = await self._store.list_alerts(request.tenant, which, size + 1, after)
        token = ""
        if len(alerts) > size:
            alerts.pop()
            last = alerts[-1]
            token = paging.encode(listed, last.last_time.ToNanoseconds(), last.alert_id)
        return alerts_pb2.ListAlertsResponse(alerts=alerts, next_page_token=token)

    async def GetAlert(
        self, request: alerts_pb2.GetAlertRequest, context: Any
    ) -> alerts_pb2.GetAlertResponse:
        check.tenant(request.tenant)
        alert = await self._store.get_alert(request.tenant, request.alert_id)
        return alerts_pb2.GetAlertResponse(
            alert=alert, deliveries=await self._deliveries.of_alert(request.tenant, request.alert_id)
        )

    async def WatchAlerts(
        self, request: alerts_pb2.WatchAlertsRequest, context: Any
    ) -> AsyncIterator[alerts_pb2.WatchAlertsResponse]:
        check.tenant(request.tenant)
        place = request.after_changed
        if place < 0:
            place = await self._store.last_changed()
        watcher = asyncio.Event()
        self._watchers.add(watcher)
        try:
            while True:
                watcher.clear()
                alerts = await self._store.changed_after(
                    request.tenant, place, int(request.minimum_severity), _WATCH_BATCH
                )
                if alerts:
                    place = alerts[-1].changed
                    yield alerts_pb2.WatchAlertsResponse(alerts=alerts)
                    continue
                try:
                    # Another process's commits do not set the event: look every second all the same.
                    await asyncio.wait_for(watcher.wait(), _SIGN_OF_LIFE_S)
                except TimeoutError:
                    yield alerts_pb2.WatchAlertsResponse()
        finally:
            self._watchers.discard(watcher)

    async def GetWorkQueue(
        self, request: alerts_pb2.GetWorkQueueRequest, context: Any
    ) -> alerts_pb2.GetWorkQueueResponse:
        check.tenant(request.tenant)
        if request.capacity > 1_000:
            raise InvalidArgument("CAPACITY_INVALID", "capacity is 1 to 1,000, or 0 for what is configured")
        queue = await self._store.work_queue(request.tenant, request.assignee, self._clock.now_ms())
        left = max(0, (request.capacity or self._rules.capacity) - queue.done_today)
        within = min(left, len(queue.alerts))
        return alerts_pb2.GetWorkQueueResponse(
            alerts=queue.alerts,
            within_capacity=within,
            done_today=queue.done_today,
            waiting=queue.waiting,
            loss_beyond=sum(alert.expected_loss for alert in queue.alerts[within:]),
        )

    # -- acts --------------------------------------------------------------------------------------

    async def ActOnAlerts(
        self, request: alerts_pb2.ActOnAlertsRequest, context: Any
    ) -> alerts_pb2.ActOnAlertsResponse:
        check.tenant(request.tenant)
        check.actor(request.actor)
        if not request.act or request.act not in alerts_pb2.AlertAct.values():
            raise InvalidArgument("ACT_INVALID", "act is ACKNOWLEDGE, ASSIGN, RESOLVE, FALSE_ALARM or REOPEN")
        check.text("note", request.note, 1_024)
        check.text("assignee", request.assignee, 128)
        which: Filter | None = None
        if not request.alert_ids:
            which = check.selection(request.selection)
            if not which.narrows():
                raise InvalidArgument(
                    "SELECTION_INVALID", "name alert_ids, or narrow the selection: not all alerts at once"
                )
        elif len(request.alert_ids) > check.MAX_IDS:
            raise InvalidArgument("SELECTION_INVALID", f"alert_ids must be {check.MAX_IDS} or fewer")
        acted = await self._store.act(
            request.tenant,
            request.act,
            alert_ids=list(dict.fromkeys(request.alert_ids)),
            which=which,
            actor=request.actor,
            assignee=request.assignee,
            note=request.note,
            label=request.label
            and request.act in (alerts_pb2.ALERT_ACT_RESOLVE, alerts_pb2.ALERT_ACT_FALSE_ALARM),
            preview=request.preview,
            now_ms=self._clock.now_ms(),
        )
        if not request.preview:
            self.changed()
        return alerts_pb2.ActOnAlertsResponse(
            selected=acted.selected,
            changed=len(acted.changed),
            alerts=acted.changed[:_SHOWN],
            entities=len({(alert.entity_kind, alert.entity) for alert in acted.changed}),
            unknown=acted.unknown,
        )

    async def SnoozeEntity(
        self, request: alerts_pb2.SnoozeEntityRequest, context: Any
    ) -> alerts_pb2.SnoozeEntityResponse:
        check.tenant(request.tenant)
        now_ms = self._clock.now_ms()
        snooze = check.snooze(request.snooze, now_ms)
        return alerts_pb2.SnoozeEntityResponse(snooze=await self._store.snooze(request.tenant, snooze))

    async def LiftSnooze(
        self, request: alerts_pb2.LiftSnoozeRequest, context: Any
    ) -> alerts_pb2.LiftSnoozeResponse:
        check.tenant(request.tenant)
        check.actor(request.actor)
        if not await self._store.lift_snooze(request.tenant, request.snooze_id, self._clock.now_ms()):
            raise NotFound("SNOOZE_UNKNOWN", "this tenant has no snooze of this snooze_id")
        return alerts_pb2.LiftSnoozeResponse()

    async def ListSnoozes(
        self, request: alerts_pb2.ListSnoozesRequest, context: Any
    ) -> alerts_pb2.ListSnoozesResponse:
        check.tenant(request.tenant)
        return alerts_pb2.ListSnoozesResponse(
            snoozes=await self._store.list_snoozes(request.tenant, self._clock.now_ms())
        )

    # -- deliveries --------------------------------------------------------------------------------

    async def ListDeliveries(
        self, request: alerts_pb2.ListDeliveriesRequest, context: Any
    ) -> alerts_pb2.ListDeliveriesResponse:
        check.tenant(request.tenant)
        size, before = paging.page_size(request.page_size), paging.row_id(request.page_token, _FIRST)
        found = await self._deliveries.page(request.tenant, request.channel, request.state, size + 1, before)
        page = found[:size]
        return alerts_pb2.ListDeliveriesResponse(
            deliveries=page, next_page_token=str(page[-1].delivery_id) if len(found) > size else ""
        )

    async def ReplayDeliveries(
        self, request: alerts_pb2.ReplayDeliveriesRequest, context: Any
    ) -> alerts_pb2.ReplayDeliveriesResponse:
        check.tenant(request.tenant)
        check.actor(request.actor)
        if len(request.delivery_ids) > check.MAX_IDS:
            raise InvalidArgument("SELECTION_INVALID", f"delivery_ids must be {check.MAX_IDS} or fewer")
        replayed = await self._deliveries.replay(
            request.tenant, request.delivery_ids, request.channel, self._clock.now_ms()
        )
        self._raiser.wake()
        return alerts_pb2.ReplayDeliveriesResponse(replayed=replayed)

    async def TestRoute(
        self, request: alerts_pb2.TestRouteRequest, context: Any
    ) -> alerts_pb2.TestRouteResponse:
        check.tenant(request.message.tenant)
        found = check.violations(request.message)
        if found:
            raise InvalidArgument("MESSAGE_INVALID", check.describe(found), violations=found)
        at_ms = request.at_time.ToMilliseconds() if request.HasField("at_time") else self._clock.now_ms()
        grouping = Grouping(self._rules, {}, [])
        grouping.take(request.message, at_ms * 1_000_000)
        (alert,) = grouping.changed.values()
        grouped = self._rules.grouped(alert.kind)
        answer = alerts_pb2.TestRouteResponse(
            grouped_by=grouped.by,
            window_seconds=grouped.window_ns / 1e9,
            opens_incident=self._rules.opens_incident(alert.kind, alert.severity),
            expected_loss=alert.expected_loss,
        )
        for planned in self._rules.plan(alert, at_ms):
            one = answer.tellings.add(
                channel=planned.channel,
                type=self._channels[planned.channel].kind,
                route=planned.route,
                step=planned.step,
            )
            one.time.FromMilliseconds(planned.due_ms)
        return answer

    # -- incidents ---------------------------------------------------------------------------------

    async def CreateIncident(
        self, request: alerts_pb2.CreateIncidentRequest, context: Any
    ) -> alerts_pb2.CreateIncidentResponse:
        check.tenant(request.tenant)
        check.actor(request.actor)
        if not 1 <= len(request.alert_ids) <= check.MAX_IDS:
            raise InvalidArgument("INCIDENT_INVALID", f"alert_ids are 1 to {check.MAX_IDS}")
        if not request.title.strip():
            raise InvalidArgument("INCIDENT_INVALID", "title says in a line what it is about")
        check.text("title", request.title, 256)
        check.text("request_id", request.request_id, 255)
        check.severity(request.severity)
        incident = await self._incidents.create(request, self._clock.now_ms())
        self.changed()
        return alerts_pb2.CreateIncidentResponse(incident=incident)

    async def GetIncident(
        self, request: alerts_pb2.GetIncidentRequest, context: Any
    ) -> alerts_pb2.GetIncidentResponse:
        check.tenant(request.tenant)
        incident, timeline = await self._incidents.get(request.tenant, checked_number(request.number))
        return alerts_pb2.GetIncidentResponse(incident=incident, timeline=timeline)

    async def ListIncidents(
        self, request: alerts_pb2.ListIncidentsRequest, context: Any
    ) -> alerts_pb2.ListIncidentsResponse:
        check.tenant(request.tenant)
        size, before = paging.page_size(request.page_size), paging.row_id(request.page_token, _FIRST)
        found = await self._incidents.page(
            request.tenant, list(request.states), request.assignee, size + 1, before
        )
        page = found[:size]
        return alerts_pb2.ListIncidentsResponse(
            incidents=[incident for _, incident in page],
            next_page_token=str(page[-1][0]) if len(found) > size else "",
        )

    async def UpdateIncident(
        self, request: alerts_pb2.UpdateIncidentRequest, context: Any
    ) -> alerts_pb2.UpdateIncidentResponse:
        check.tenant(request.tenant)
        check.actor(request.actor)
        checked_number(request.number)
        check.text("note", request.note, 8_192)
        check.text("assignee", request.assignee, 128)
        check.text("link", request.link, 2_048)
        check.severity(request.severity)
        if request.link and not request.link.startswith(("https://", "http://")):
            raise InvalidArgument("INCIDENT_INVALID", "link begins with https:// or http://")
        if len(request.add_alert_ids) > check.MAX_IDS:
            raise InvalidArgument("INCIDENT_INVALID", f"add_alert_ids must be {check.MAX_IDS} or fewer")
        if request.state not in alerts_pb2.IncidentState.values():
            raise InvalidArgument("INCIDENT_INVALID", "state is one of usher.alerts.v1.IncidentState")
        incident = await self._incidents.update(request, self._clock.now_ms())
        self.changed()
        return alerts_pb2.UpdateIncidentResponse(incident=incident)
