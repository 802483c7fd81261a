package import MartletPrimitives

/// One message of a channel as it lies in the log.
package struct StoredMessage: Equatable, Sendable {
  package var channel: String
  /// Its place in the channel: 1 and up, each used once for all time.
  package var offset: UInt64
  /// When it was published, milliseconds since 1970.
  package var time: Int64
  /// What the hub makes of it, in its own short words.
  package var kind: String
  /// The content type.
  package var type: String
  /// The event's name.
  package var event: String
  package var payload: Slice
  /// Whose token published it.
  package var user: String?
  /// The publisher's idempotency key: publishing with it again is publishing once.
  package var key: String?

  package init(
    channel: String, offset: UInt64, time: Int64, kind: String = "", type: String = "", event: String = "", payload: Slice,
    user: String? = nil, key: String? = nil
  ) {
    self.channel = channel
    self.offset = offset
    self.time = time
    self.kind = kind
    self.type = type
    self.event = event
    self.payload = payload
    self.user = user
    self.key = key
  }

  /// What it counts for in every limit in bytes: its texts and payload and what a row costs besides.
  package var size: Int {
    payload.count &+ channel.utf8.count &+ kind.utf8.count &+ type.utf8.count &+ event.utf8.count &+ (user?.utf8.count ?? 0)
      &+ (key?.utf8.count ?? 0) &+ 64
  }
}

/// What is known of a channel when it is opened.
package struct StoredHistory: Equatable, Sendable {
  package struct Key: Equatable, Sendable {
    package var key: String
    package var offset: UInt64

    package init(key: String, offset: UInt64) {
      self.key = key
      self.offset = offset
    }
  }

  /// Made once with the channel and never again: a cursor of another epoch is of another log.
  package var epoch: String
  /// What retention has left, oldest first.
  package var messages: [StoredMessage]
  /// The next message's offset; it never goes back, also when retention removed every message.
  package var nextOffset: UInt64
  /// The latest idempotency keys, oldest first.
  package var keys: [Key]

  package init(epoch: String, messages: [StoredMessage], nextOffset: UInt64, keys: [Key]) {
    self.epoch = epoch
    self.messages = messages
    self.nextOffset = nextOffset
    self.keys = keys
  }
}

/// How much of a channel is kept; whatever is exceeded first counts.
package struct Retention: Equatable, Sendable {
  package var messages: Int
  package var age: TimeSpan
  /// By `StoredMessage.size`.
  package var bytes: Int

  package init(messages: Int, age: TimeSpan, bytes: Int) {
    self.messages = max(0, messages)
    self.age = max(.zero, age)
    self.bytes = max(0, bytes)
  }
}
