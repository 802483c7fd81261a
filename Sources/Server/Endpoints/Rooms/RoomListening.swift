internal import MartletIO
internal import MartletMessages
internal import MartletPrimitives
internal import MartletRooms

/// What hears of a room.
internal protocol RoomListener: AnyObject {
  /// Whether it can take more now; `resume` is called once it can again.
  var takesMore: Bool { get }
  /// - Parameter at: where the three channels stand, for `resume`.
  func hear(_ message: Message, of place: RoomListening.Place, at: String)
  /// The channels went on without it.
  func fellBehind()
}

/// The three channels of a participant, read as one.
internal final class RoomListening: SubscriptionOwner {
  internal enum Place: Int, CaseIterable { case events, inbox, chat }

  private let messages: MessageHub
  private let context: LoopContext
  private unowned let listener: any RoomListener
  private var subscriptions: [Place: Subscription] = [:]
  private var isPumping = false
  /// Counts what it listened to, so that a subscription that comes late is not taken for the present one.
  private var generation = 0

  /// Messages before the others of the worker have their turn.
  private static let run = 64

  internal init(_ listener: any RoomListener, messages: MessageHub, in context: LoopContext) {
    self.listener = listener
    self.messages = messages
    self.context = context
  }

  /// - Parameters:
  ///   - greeting: what `join` or `resume` was answered with.
  ///   - since: the last `at` that was heard.
  internal func begin(_ greeting: JSON, since: JSON? = nil) {
    end()
    guard let channels = greeting["channels"] else { return }
    let resumed = Self.places(since)
    for place in Place.allCases {
      let channel = channels["\(place)"]
      guard case .string(let text)? = channel?["name"], let name = try? ChannelName(text) else { continue }
      subscribe(place, name, Self.start(channel?["cursor"], resumed?[place.rawValue]))
    }
  }

  private static func places(_ since: JSON?) -> [Int]? {
    guard case .string(let text)? = since else { return nil }
    let places = text.split(separator: ".").compactMap { Int($0) }
    return places.count == Place.allCases.count ? places : nil
  }

  /// Where it stopped; who is new hears what follows upon the greeting, and of the chat what is said from now on.
  private static func start(_ cursor: JSON?, _ resumed: Int?) -> SubscriptionStart {
    guard case .string(let text)? = cursor, let cursor = try? Cursor(text) else { return .now }
    return .after(Cursor(epoch: cursor.epoch, offset: min(resumed ?? cursor.offset, cursor.offset)))
  }

  private func subscribe(_ place: Place, _ name: ChannelName, _ start: SubscriptionStart) {
    let present = generation
    messages.subscribe(owner: self, to: name, start) { [weak self] result in
      guard let self, case .success(let subscription) = result else { return }
      guard self.generation == present else { return self.messages.remove(subscription) }
      self.subscriptions[place] = subscription
      if subscription.hasMore { self.resume() }
    }
  }

  internal func subscriptionIsReady(_ subscription: Subscription) { resume() }
  internal func subscriptionFellBehind(_ subscription: Subscription) { listener.fellBehind() }
  internal var isBehind: Bool { subscriptions.values.contains(where: \.isBehind) }

  internal func resume() {
    guard !isPumping else { return }
    isPumping = true
    context.atEndOfTurn { [weak self] in self?.pump() }
  }

  private func pump() {
    isPumping = false
    let present = generation
    for _ in 0..<Self.run {
      guard generation == present, listener.takesMore, let (place, subscription) = subscriptions.first(where: { $0.value.hasMore }) else {
        return
      }
      guard let message = subscription.take(limit: 1).first else { return listener.fellBehind() }
      listener.hear(message, of: place, at: Place.allCases.map { "\(subscriptions[$0]?.cursor.offset ?? 0)" }.joined(separator: "."))
    }
    resume()
  }

  internal func end() {
    generation += 1
    let all = subscriptions.values
    subscriptions = [:]
    for subscription in all { messages.remove(subscription) }
  }
}
