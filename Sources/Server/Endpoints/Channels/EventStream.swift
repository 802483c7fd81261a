internal import MartletHTTP
internal import MartletIO
internal import MartletMessages
internal import MartletPrimitives
internal import MartletWeb

/// One `EventSource` on one channel: the connection pulls the channel's shared events.
internal final class EventStream: ChannelSession, ChannelReaderOwner {
  internal let client: ChannelClient
  private let exchange: HTTPExchange
  private let admission: ChannelAdmission
  private let reader: ChannelReader
  private let pool: DeflatePool?
  private let heartbeat: TimeSpan
  private unowned let hub: MessageHub
  private var saidGoodbye = false

  internal init(
    _ exchange: HTTPExchange, _ client: ChannelClient, _ admission: ChannelAdmission, sink: any OutputSink, hub: MessageHub,
    formats: ChannelFormats, heartbeat: TimeSpan
  ) {
    self.exchange = exchange
    self.client = client
    self.admission = admission
    self.hub = hub
    self.heartbeat = heartbeat
    pool = AcceptEncoding.choose(exchange.request.fields) == "gzip" ? formats.pool : nil
    reader = ChannelReader(pool == nil ? formats.events : formats.compressedEvents, sink: sink)
    reader.owner = self
  }

  internal var channels: [ChannelName] { reader.subscriptions.map(\.channel) }

  internal func begin(_ query: ChannelQuery, _ entry: ChannelQuery.Entry, retry: TimeSpan) {
    hub.add(self)
    exchange.onClose = { [unowned self] in
      // The last event is still to be sent before the connection closes.
      if self.saidGoodbye { self.hub.endSubscriptions(of: self.reader) } else { self.hub.close(self.reader) }
      self.hub.remove(self)
    }
    hub.subscribe(reader, to: entry.channel, entry.start) { [weak self] result in
      guard let self, !self.exchange.isFinished else { return }
      switch result {
      case .failure(let error): self.exchange.refuse(error.refusalStatus, "\(error)")
      case .success(let subscription):
        self.open(subscription, retry)
        ChannelPresence.enter(
          subscription, as: self.client, info: entry.info, watches: query.watchesPresence, self.admission, in: self.hub,
          now: self.exchange.context.wallTime)
      }
    }
  }

  private func open(_ subscription: Subscription, _ retry: TimeSpan) {
    if pool != nil { exchange.responseFields.append("Content-Encoding", "gzip") }
    exchange.stream(HTTPResponse(.ok, EventStreamFields.fields)) { [reader] _ in reader.start() }
    if pool != nil { reader.send(Slice(EventStreamFormat.gzipHeader)) }
    say(EventStreamFormat.retry(retry))
    let cursor = subscription.cursor.description
    say(subscription.lostHistory ? EventStreamFormat.event("lost", id: cursor, data: cursor) : EventStreamFormat.position(cursor))
  }

  private func say(_ bytes: [UInt8]) { reader.send(pool.map { EventStreamFormat.gzipped(bytes, $0) } ?? Slice(bytes)) }

  internal func readerFellBehind(_ reader: ChannelReader, on channel: ChannelName) { kick(.slow) }

  internal func reader(_ reader: ChannelReader, didSee event: PresenceEvent) { say(EventStreamFormat.presence(event)) }

  internal func kick(_ reason: ChannelKick) {
    // A client that has nothing yet hears it as a status.
    guard exchange.status != nil else { return exchange.refuse(.forbidden, EventStreamFields.sentence(reason)) }
    // A slow one comes back by itself, with the cursor of what it saw.
    guard reason != .slow else { return exchange.abort() }
    say(EventStreamFormat.event("end", id: EventStreamFields.endID, data: EventStreamFields.sentence(reason)))
    saidGoodbye = true
    exchange.finish()
  }

  internal func sweep(now: Instant, stuck: TimeSpan) {
    if admission.isExpired { return kick(.expired) }
    if reader.isTooSlow(now: now, limit: stuck) { return kick(.slow) }
    if let sink = reader.sink, now - sink.lastWrite >= heartbeat { say(EventStreamFormat.heartbeat) }
  }
}

/// What both kinds of event stream say alike.
internal enum EventStreamFields {
  internal static let fields: HTTPFields = [
    "Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no",
  ]

  /// The last event id of a client that shall not come back: its next request is answered with 204, which ends an EventSource.
  internal static let endID = "end"

  internal static func sentence(_ reason: ChannelKick) -> String {
    switch reason {
    case .administrator: "closed by an administrator"
    case .expired: "the permission has expired"
    case .slow: "the connection took nothing for too long"
    }
  }
}
