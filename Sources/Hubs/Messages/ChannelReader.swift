package import MartletIO
package import MartletPrimitives

/// What a connection's owner hears from its reader.
package protocol ChannelReaderOwner: AnyObject {
  /// The connection lost a message of this channel and must go: it may come back and ask with its cursor.
  func readerFellBehind(_ reader: ChannelReader, on channel: ChannelName)
  /// Somebody came to a channel or left it.
  func reader(_ reader: ChannelReader, didSee event: PresenceEvent)
}

/// Everything one connection is subscribed to: cursors into channels, pulled by the socket whenever it takes more.
package final class ChannelReader: OutputSource, SubscriptionOwner {
  package let format: MessageFormat
  /// Outlives the reader's part in any channel: it closes the reader before it goes.
  package unowned var owner: (any ChannelReaderOwner)?
  package private(set) var sink: (any OutputSink)?
  package private(set) var subscriptions: [Subscription] = []

  /// Subscriptions with something to send, in the order in which it came: a list through `nextReady`.
  private var firstReady: Subscription?
  private var lastReady: Subscription?
  /// What the connection's owner says between messages.
  private var remarks: [Slice] = []
  /// Images that only this connection needs: a replay from far behind.
  private var own: OwnImages?
  private var progress = SendProgress()
  package private(set) var bytesSent = 0

  package init(_ format: MessageFormat, sink: any OutputSink) {
    self.format = format
    self.sink = sink
  }

  /// Begins to send: the connection pulls from here until `stop`.
  package func start() {
    sink?.boundKernelOutput()
    sink?.source = self
  }

  package func stop() {
    if sink?.source === self { sink?.source = nil }
    sink = nil
    (firstReady, lastReady) = (nil, nil)
  }

  /// Says something to this connection alone, between messages. Goes first, once the message under way is complete.
  package func send(_ remark: Slice) {
    guard !remark.isEmpty, sink != nil else { return }
    remarks.append(remark)
    sink?.setNeedsFlush()
  }

  /// Remarks that have not left.
  package var waitingRemarks: Int { remarks.count }

  package func subscription(of channel: ChannelName) -> Subscription? { subscriptions.first { $0.channel == channel } }

  internal func add(_ subscription: Subscription) { subscriptions.append(subscription) }

  internal func remove(_ subscription: Subscription) {
    subscriptions.removeAll { $0 === subscription }
    guard subscription.isReady else { return }
    var others: [Subscription] = []
    while let ready = popReady() { if ready !== subscription { others.append(ready) } }
    subscription.isReady = false
    for ready in others { appendReady(ready) }
  }

  /// Something waits, and the socket took nothing for `limit`; or a channel went on without this connection.
  package func isTooSlow(now: Instant, limit: TimeSpan) -> Bool {
    guard let sink, firstReady != nil || progress.isMidItem || !remarks.isEmpty else { return false }
    if now - sink.lastWrite > limit { return true }
    var ready = firstReady
    while let subscription = ready {
      if subscription.isBehind { return true }
      ready = subscription.nextReady
    }
    return false
  }

  // MARK: SubscriptionOwner

  package func subscriptionIsReady(_ subscription: Subscription) {
    appendReady(subscription)
    sink?.setNeedsFlush()
  }

  package func subscriptionFellBehind(_ subscription: Subscription) { owner?.readerFellBehind(self, on: subscription.channel) }

  package func subscription(_ subscription: Subscription, didSee event: PresenceEvent) { owner?.reader(self, didSee: event) }

  private func appendReady(_ subscription: Subscription) {
    subscription.nextReady = nil
    if let lastReady { lastReady.nextReady = subscription } else { firstReady = subscription }
    lastReady = subscription
  }

  private func popReady() -> Subscription? {
    guard let first = firstReady else { return nil }
    firstReady = first.nextReady
    first.nextReady = nil
    if firstReady == nil { lastReady = nil }
    return first
  }

  // MARK: OutputSource

  package var isMidMessage: Bool { progress.isMidItem }

  package var hasMore: Bool { firstReady != nil || !remarks.isEmpty }

  package func gather(into vector: IOVector, _ scope: GatherScope) {
    progress.gather(into: vector)
    guard scope == .all else { return }
    for remark in remarks where !vector.isFull { vector.append(remark) }
    var ready = firstReady
    while let subscription = ready, !vector.isFull {
      let replays = subscription.next < subscription.log.firstShared
      gather(subscription, into: vector)
      // There is room for the images of one replay only.
      if replays { return }
      ready = subscription.nextReady
    }
  }

  private func gather(_ subscription: Subscription, into vector: IOVector) {
    let log = subscription.log
    guard !subscription.isBehind else { return }
    var offset = subscription.next
    while offset <= log.head, !vector.isFull {
      vector.append(image(of: subscription, at: offset))
      offset += 1
    }
  }

  private func image(of subscription: Subscription, at offset: Int) -> Slice {
    let log = subscription.log
    if offset >= log.firstShared { return log.image(at: offset, form: subscription.form) }
    if own?.log !== log { own = OwnImages(log, format) }
    return own?.image(at: offset) ?? Slice()
  }

  package func advance(by count: Int) {
    bytesSent += count
    progress.advance(by: count) { next() }
    dropDrained()
  }

  /// Takes the next image in the order of `gather`.
  private func next() -> Slice? {
    if !remarks.isEmpty { return remarks.removeFirst() }
    while let subscription = firstReady {
      if !subscription.isBehind, subscription.hasMore {
        defer { subscription.advance() }
        return image(of: subscription, at: subscription.next)
      }
      retire()
    }
    return nil
  }

  private func dropDrained() {
    while let subscription = firstReady, !subscription.hasMore { retire() }
    guard let first = firstReady, first.log === own?.log else { return own = nil }
    own?.drop(before: first.next)
  }

  private func retire() { popReady()?.drained() }
}

/// The images of a replay from far behind, from the first that has not left yet.
private final class OwnImages {
  let log: ChannelLog
  private let format: MessageFormat
  private var base = 0
  private var images = Deque<Slice>()

  init(_ log: ChannelLog, _ format: MessageFormat) {
    self.log = log
    self.format = format
  }

  /// Offsets are asked for in rising runs, each beginning at the first that has not left.
  func image(at offset: Int) -> Slice {
    if !(base...base + images.count).contains(offset) {
      images = Deque()
      base = offset
    }
    if offset == base + images.count {
      images.append(format.encode(log.name, Cursor(epoch: log.epoch, offset: offset), log.message(at: offset)))
    }
    return images[offset - base]
  }

  func drop(before offset: Int) {
    while base < offset, !images.isEmpty {
      images.popFirst()
      base += 1
    }
  }
}
