internal import MartletHTTP
internal import MartletIO
internal import MartletMessages
internal import MartletPrimitives
internal import MartletWeb

/// One poll: answered at once when there is something behind its cursor, else held until there is or its time is over.
///
/// The answer is `{"cursor": …, "messages": […], "lost": [NAME…]}`, its ETag the cursor, so that a poll that finds nothing new
/// costs a 304.
internal final class ChannelPoll: ChannelSession, SubscriptionOwner {
  internal struct Limits {
    var wait: TimeSpan
    var messages: Int
  }

  internal let client: ChannelClient
  private let exchange: HTTPExchange
  private let admission: ChannelAdmission
  private let query: ChannelQuery
  private let limits: Limits
  private unowned let hub: MessageHub
  private var subscriptions: [Subscription] = []
  private var timer: SlabID?
  private var isOpen = false
  private var isAnswering = false

  /// Bytes of messages after which an answer is sent, whatever more there is.
  private static let enough = 1 << 20

  internal init(
    _ exchange: HTTPExchange, _ client: ChannelClient, _ admission: ChannelAdmission, _ query: ChannelQuery, hub: MessageHub, limits: Limits
  ) {
    self.exchange = exchange
    self.client = client
    self.admission = admission
    self.query = query
    self.hub = hub
    self.limits = limits
  }

  internal var channels: [ChannelName] { subscriptions.map(\.channel) }

  internal func begin() {
    hub.add(self)
    exchange.onClose = { [unowned self] in
      let subscriptions = self.subscriptions
      self.subscriptions = []
      for subscription in subscriptions { self.hub.remove(subscription) }
      if let timer = self.timer { self.exchange.context.cancel(timer) }
      self.hub.remove(self)
    }
    hub.subscribe(owner: self, to: query.entries[...], while: { [weak exchange] in exchange?.isFinished == false }) { [weak self] result in
      guard let self else { return }
      switch result {
      case .failure(let error): self.exchange.refuse(error.refusalStatus, "\(error)")
      case .success(let subscriptions):
        self.subscriptions = subscriptions
        self.open()
      }
    }
  }

  private func open() {
    isOpen = true
    let hasNews = subscriptions.contains { $0.hasMore || $0.lostHistory }
    // Without a cursor there is nothing to wait behind: the answer says where to begin.
    let isFirst = query.entries.contains { if case .after = $0.start { false } else { true } }
    if hasNews || isFirst || limits.wait <= .zero { return answer() }
    timer = exchange.context.schedule(after: limits.wait) { [weak self] in
      self?.timer = nil
      self?.answer()
    }
  }

  internal func subscriptionIsReady(_ subscription: Subscription) {
    guard isOpen, !isAnswering else { return }
    isAnswering = true
    // What else comes in this turn leaves with it.
    exchange.context.atEndOfTurn { [weak self] in self?.answer() }
  }

  internal func subscriptionFellBehind(_ subscription: Subscription) { answer() }

  private func answer() {
    guard !exchange.isFinished, exchange.status == nil else { return }
    var json = JSONWriter()
    var count = 0
    json.object { json in
      json.member("messages") { json in
        json.array { json in
          for subscription in subscriptions {
            while count < limits.messages, json.bytes.count < Self.enough, let message = subscription.take(limit: 1).first {
              MessageJSON.write(message, in: subscription.channel, subscription.cursor, to: &json)
              count += 1
            }
          }
        }
      }
      json.member("lost") { json in
        json.array { json in
          for subscription in subscriptions where subscription.lostHistory || subscription.isBehind {
            json.value(subscription.channel.text)
          }
        }
      }
      json.member("cursor", cursor)
    }
    let fields: HTTPFields = ["ETag": "\"\(cursor)\"", "Cache-Control": "no-cache"]
    let hasNews = count > 0 || subscriptions.contains { $0.lostHistory || $0.isBehind }
    if !hasNews, exchange.request.fields.list("If-None-Match").contains("\"\(cursor)\"") { return exchange.respond(.notModified, fields) }
    exchange.respond(.ok, fields.adding("Content-Type", "application/json"), Slice(json.bytes))
  }

  private var cursor: String {
    if query.isSingle, let only = subscriptions.first { return only.cursor.description }
    return ChannelQuery.cursor(subscriptions.map { ($0.channel, $0.cursor) })
  }

  internal func kick(_ reason: ChannelKick) { exchange.refuse(.forbidden, EventStreamFields.sentence(reason)) }

  internal func sweep(now: Instant, stuck: TimeSpan) { if admission.isExpired { kick(.expired) } }
}

extension HTTPFields {
  fileprivate func adding(_ name: String, _ value: String) -> HTTPFields {
    var fields = self
    fields.append(name, value)
    return fields
  }
}
