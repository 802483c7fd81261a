internal import MartletIO
internal import MartletMessages
internal import MartletPrimitives
internal import MartletSocketIO

/// What a Socket.IO client has of channels: its subscriptions, which are rooms to it.
internal final class SocketIOSubscriber: ChannelSession, SubscriptionOwner {
  internal private(set) var client: ChannelClient
  internal let admission: ChannelAdmission
  private unowned let socket: SocketIOSocket
  private unowned let hub: MessageHub
  private let images: SocketIOImages
  private var subscriptions: [Subscription] = []
  private var isPumping = false

  /// Messages sent before the others of the worker have their turn.
  private static let run = 64

  internal init(_ socket: SocketIOSocket, _ client: ChannelClient, _ admission: ChannelAdmission, _ images: SocketIOImages, hub: MessageHub)
  {
    self.socket = socket
    self.client = client
    self.admission = admission
    self.images = images
    self.hub = hub
    hub.add(self)
  }

  internal var channels: [ChannelName] { subscriptions.map(\.channel) }
  internal func subscription(of channel: ChannelName) -> Subscription? { subscriptions.first { $0.channel == channel } }
  /// Where it is in every channel; an event's offset.
  private var position: String { ChannelQuery.cursor(subscriptions.map { ($0.channel, $0.cursor) }) }

  internal func didPermit() {
    client.user = admission.user
    client.tokenID = admission.tokenID
  }

  /// Takes a subscription that the hub made for this owner.
  internal func add(_ subscription: Subscription) {
    subscriptions.append(subscription)
    if subscription.hasMore { pumpLater() }
  }

  internal func leave(_ subscription: Subscription) {
    subscriptions.removeAll { $0 === subscription }
    hub.remove(subscription)
  }

  internal func close() {
    let all = subscriptions
    subscriptions = []
    for subscription in all { hub.remove(subscription) }
    hub.remove(self)
  }

  // MARK: Messages

  internal func subscriptionIsReady(_ subscription: Subscription) { pumpLater() }

  internal func subscriptionFellBehind(_ subscription: Subscription) { kick(.slow) }

  internal func subscription(_ subscription: Subscription, didSee event: PresenceEvent) {
    let event = SocketIOMessage.presence(event)
    socket.emit(event.name, event.arguments)
  }

  internal func pumpLater() {
    guard !isPumping else { return }
    isPumping = true
    socket.context.atEndOfTurn { [weak self] in self?.pump() }
  }

  private func pump() {
    isPumping = false
    var left = Self.run
    while left > 0, socket.isConnected, socket.keepsUp, let subscription = subscriptions.first(where: \.hasMore) {
      let messages = subscription.take(limit: subscriptions.count == 1 ? left : 1)
      guard !messages.isEmpty else { return kick(.slow) }
      left -= messages.count
      for message in messages { send(message, of: subscription) }
    }
    // Others have their turn; who does not keep up is written to again when it does.
    if left <= 0, socket.isConnected, socket.keepsUp, subscriptions.contains(where: \.hasMore) { pumpLater() }
  }

  private func send(_ message: Message, of subscription: Subscription) {
    if subscriptions.count == 1 { return socket.send(images.wire(message, in: subscription.log, namespace: socket.namespace)) }
    let cursor = Cursor(epoch: subscription.log.epoch, offset: message.offset)
    let event = SocketIOMessage.event(message, in: subscription.channel, cursor, position: position)
    socket.send(event.packet(in: socket.namespace).encoded)
  }

  // MARK: ChannelSession

  internal func kick(_ reason: ChannelKick) {
    // A client that was put out stays out; one whose connection breaks comes back, with its offset.
    if reason == .slow { socket.engine?.close() } else { socket.disconnect() }
  }

  internal func sweep(now: Instant, stuck: TimeSpan) {
    if admission.isExpired { return kick(.expired) }
    if subscriptions.contains(where: \.isBehind) { kick(.slow) }
  }
}
