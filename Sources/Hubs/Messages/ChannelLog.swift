internal import MartletPrimitives

/// A channel as one worker sees it: the recent messages, their wire forms, and the subscriptions of this worker.
///
/// At the channel's home it is the history itself; elsewhere it is a replica that the home keeps up to date. Subscriptions are
/// cursors into it, so nothing is queued per subscriber.
package final class ChannelLog {
  package let name: ChannelName
  package let options: ChannelOptions
  package private(set) var epoch: String
  private var messages = Deque<Message>()
  /// The offset of `messages[0]`, or of the next message when there is none.
  package private(set) var base: Int
  private var weight = 0
  private var forms: [EncodedForm] = []
  package private(set) var subscriptions: [Subscription] = []
  /// Called when the first subscription came or the last one left.
  internal var occupancyChanged: ((ChannelLog) -> Void)?
  /// Over the life of this log.
  package private(set) var received = 0, delivered = 0

  /// What live delivery needs, whatever the namespace keeps.
  private static let liveMessages = 1024
  private static let liveBytes = 512 << 10

  internal init(_ name: ChannelName, _ options: ChannelOptions, epoch: String, next: Int = 1) {
    self.name = name
    self.options = options
    self.epoch = epoch
    base = next
  }

  /// The newest message's offset; `base - 1` when there is none.
  package var head: Int { base + messages.count - 1 }
  package var cursor: Cursor { Cursor(epoch: epoch, offset: head) }
  package var isEmpty: Bool { messages.isEmpty }
  package var newest: Message? { messages.last }
  package var bytes: Int { weight }

  package func message(at offset: Int) -> Message { messages[offset - base] }

  /// Up to `limit` messages behind `offset`, oldest first.
  package func messages(after offset: Int, limit: Int) -> [Message] {
    let first = max(base, offset + 1)
    guard first <= head, limit > 0 else { return [] }
    return (first...(limit > head - first ? head : first + limit - 1)).map { message(at: $0) }
  }

  // MARK: Filling

  internal func append(_ message: Message) {
    messages.append(message)
    weight += message.weight
    received += 1
    trim(now: message.arrival)
  }

  /// The hub waits before it wakes the subscriptions, so that more leaves in one write.
  internal var isHeld = false
  private var wokenAt = 0
  /// Messages that the subscriptions have not heard of.
  internal var held: Int { head - wokenAt }

  /// Lets the subscriptions know that there is something.
  internal func wake() {
    isHeld = false
    wokenAt = head
    for subscription in subscriptions { subscription.wake() }
  }

  /// A replica begins anew: its home's history, from `base` on.
  internal func reset(epoch: String, base: Int, _ snapshot: [Message]) {
    self.epoch = epoch
    self.base = base
    messages = Deque()
    weight = 0
    for message in snapshot {
      messages.append(message)
      weight += message.weight
    }
    for index in forms.indices { forms[index].removeAll(base: firstShared) }
  }

  /// Drops what is beyond the limits; the newest message stays until its age is over.
  internal func trim(now: Instant) {
    let (count, size) = (max(options.history, Self.liveMessages), max(options.bytes, Self.liveBytes))
    let oldest = now - options.age
    while let first = messages.first, messages.count > count || weight > size && messages.count > 1 || first.arrival < oldest {
      messages.popFirst()
      weight -= first.weight
      base += 1
    }
    for index in forms.indices { forms[index].trim(to: firstShared) }
  }

  // MARK: Wire forms

  /// The index of a format, by which its images are found.
  internal func formIndex(of format: MessageFormat) -> Int {
    if let index = forms.firstIndex(where: { $0.format.name == format.name }) { return index }
    forms.append(EncodedForm(format, base: firstShared))
    return forms.count - 1
  }

  /// From here on images are shared.
  internal var firstShared: Int { max(base, head + 1 - EncodedForm.window) }

  /// The shared image of a message from `firstShared` on.
  internal func image(at offset: Int, form: Int) -> Slice {
    let (format, cursor, message) = (forms[form].format, Cursor(epoch: epoch, offset: offset), message(at: offset))
    return forms[form].image(at: offset) { format.encode(name, cursor, message) }
  }

  internal func didDeliver(_ count: Int) { delivered += count }

  // MARK: Subscriptions

  internal func add(_ subscription: Subscription) {
    subscription.place = subscriptions.count
    subscriptions.append(subscription)
    if subscriptions.count == 1 { occupancyChanged?(self) }
  }

  internal func remove(_ subscription: Subscription) {
    guard let place = subscription.place, let last = subscriptions.popLast() else { return }
    subscription.place = nil
    if last !== subscription {
      subscriptions[place] = last
      last.place = place
    }
    if subscriptions.isEmpty {
      forms = []
      occupancyChanged?(self)
    }
  }

  /// Where a subscriber that asks for `position` begins.
  internal func resolve(_ position: SubscriptionStart) -> Resumption {
    switch position {
    case .now: return Resumption(next: head + 1, lost: false)
    case .last(let count): return Resumption(next: max(base, head + 1 - max(0, count)), lost: false)
    case .after(let cursor):
      if cursor.epoch == epoch, cursor.offset >= base - 1, cursor.offset <= head {
        return Resumption(next: cursor.offset + 1, lost: false)
      }
      // What is missing nobody can give; the newest message is the newest state.
      return Resumption(next: max(base, head), lost: true)
    }
  }
}

/// Where a subscription begins.
package enum SubscriptionStart: Equatable, Sendable {
  /// With the next message.
  case now
  /// With the newest messages, at most so many.
  case last(Int)
  /// Behind what was seen.
  case after(Cursor)
}

/// What became of a `SubscriptionStart`.
internal struct Resumption: Equatable, Sendable {
  var next: Int
  /// Messages behind the cursor are gone; delivery begins with the newest one.
  var lost: Bool
}

/// The images of the newest messages in one format, made when the first subscriber needs them.
private struct EncodedForm {
  let format: MessageFormat
  private var base: Int
  private var images = Deque<Slice?>()

  /// Whoever replays from further back makes images of its own.
  static let window = 2048

  init(_ format: MessageFormat, base: Int) {
    self.format = format
    self.base = base
  }

  /// - Parameter offset: within the window and not before an earlier `trim`.
  mutating func image(at offset: Int, make: () -> Slice) -> Slice {
    guard offset >= base else { return make() }
    while offset - base >= images.count { images.append(nil) }
    if let image = images[offset - base] { return image }
    let image = make()
    images[offset - base] = image
    return image
  }

  mutating func removeAll(base: Int) {
    images = Deque()
    self.base = base
  }

  mutating func trim(to oldest: Int) {
    while base < oldest {
      images.popFirst()
      base += 1
    }
  }
}
