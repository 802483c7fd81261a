internal import MartletHTTP
internal import MartletIO
internal import MartletMessages
internal import MartletPrimitives
internal import MartletWeb

/// One `EventSource` on several channels. The id of each event holds the place in every channel, so events are made for this
/// connection alone, as fast as it takes them.
internal final class MergedEventStream: ChannelSession, SubscriptionOwner {
  internal let client: ChannelClient
  private let exchange: HTTPExchange
  private let admission: ChannelAdmission
  private let heartbeat: TimeSpan
  private unowned let hub: MessageHub
  private var subscriptions: [Subscription] = []
  private var isPumping = false, isBlocked = false
  private var lastWrite: Instant

  /// Events made before the socket is asked whether it keeps up.
  private static let run = 64

  internal init(_ exchange: HTTPExchange, _ client: ChannelClient, _ admission: ChannelAdmission, hub: MessageHub, heartbeat: TimeSpan) {
    self.exchange = exchange
    self.client = client
    self.admission = admission
    self.hub = hub
    self.heartbeat = heartbeat
    lastWrite = exchange.context.now
  }

  internal var channels: [ChannelName] { subscriptions.map(\.channel) }

  internal func begin(_ query: ChannelQuery, retry: TimeSpan) {
    hub.add(self)
    exchange.onClose = { [unowned self] in
      for subscription in exchangeAll() { self.hub.remove(subscription) }
      self.hub.remove(self)
    }
    exchange.onWritable = { [unowned self] in
      self.isBlocked = false
      self.pumpLater()
    }
    hub.subscribe(owner: self, to: query.entries[...], while: { [weak exchange] in exchange?.isFinished == false }) { [weak self] result in
      guard let self else { return }
      switch result {
      case .failure(let error): self.exchange.refuse(error.refusalStatus, "\(error)")
      case .success(let subscriptions):
        self.subscriptions = subscriptions
        self.open(retry)
        for (subscription, entry) in zip(subscriptions, query.entries) {
          ChannelPresence.enter(
            subscription, as: self.client, info: entry.info, watches: query.watchesPresence, self.admission, in: self.hub,
            now: self.exchange.context.wallTime)
        }
      }
    }
  }

  private func exchangeAll() -> [Subscription] {
    defer { subscriptions = [] }
    return subscriptions
  }

  private var position: String { ChannelQuery.cursor(subscriptions.map { ($0.channel, $0.cursor) }) }

  private func open(_ retry: TimeSpan) {
    exchange.begin(HTTPResponse(.ok, EventStreamFields.fields), body: .untilClose)
    write(EventStreamFormat.retry(retry) + EventStreamFormat.event("ready", id: position, data: position))
    for subscription in subscriptions where subscription.lostHistory {
      write(EventStreamFormat.event("lost", id: position, data: subscription.channel.text))
    }
    pumpLater()
  }

  private func write(_ bytes: [UInt8]) {
    lastWrite = exchange.context.now
    if !exchange.write(Slice(bytes)) { isBlocked = true }
  }

  internal func subscriptionIsReady(_ subscription: Subscription) { pumpLater() }

  internal func subscriptionFellBehind(_ subscription: Subscription) { kick(.slow) }

  internal func subscription(_ subscription: Subscription, didSee event: PresenceEvent) {
    guard exchange.status != nil else { return }
    write(EventStreamFormat.presence(event))
  }

  private func pumpLater() {
    guard !isPumping, exchange.status != nil else { return }
    isPumping = true
    exchange.context.atEndOfTurn { [weak self] in self?.pump() }
  }

  private func pump() {
    isPumping = false
    while !isBlocked, !exchange.isFinished, let subscription = subscriptions.first(where: \.hasMore) {
      var bytes: [UInt8] = []
      for _ in 0..<Self.run {
        guard let message = subscription.take(limit: 1).first else { break }
        bytes += EventStreamFormat.event(id: position, channel: subscription.channel, cursor: subscription.cursor, message)
      }
      // What it had not read is gone: the log went past it.
      guard !bytes.isEmpty else { return kick(.slow) }
      write(bytes)
    }
  }

  internal func kick(_ reason: ChannelKick) {
    guard exchange.status != nil else { return exchange.refuse(.forbidden, EventStreamFields.sentence(reason)) }
    guard reason != .slow else { return exchange.abort() }
    write(EventStreamFormat.event("end", id: EventStreamFields.endID, data: EventStreamFields.sentence(reason)))
    exchange.finish()
  }

  internal func sweep(now: Instant, stuck: TimeSpan) {
    if admission.isExpired { return kick(.expired) }
    let quiet = now - lastWrite
    if isBlocked, quiet > stuck || subscriptions.contains(where: \.isBehind) { return kick(.slow) }
    if !isBlocked, quiet >= heartbeat { write(EventStreamFormat.heartbeat) }
  }
}
