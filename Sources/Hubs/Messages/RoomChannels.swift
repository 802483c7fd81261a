internal import MartletIO
internal import MartletPrimitives

// What the channels of rooms have of their own: `rooms/NAME` is the chat, `rooms/NAME/events` and `rooms/NAME/inbox/KEY` what the
// server tells participants.
extension ChannelName {
  package static let roomPrefix = "rooms/"

  /// The chat of the room that this is a channel of.
  package var room: ChannelName? {
    guard namespace == "rooms" else { return nil }
    let parts = text.split(separator: "/", maxSplits: 2)
    return parts.count < 3 ? self : try? ChannelName(parts[0] + "/" + parts[1])
  }

  /// What is said in a room.
  internal var isChat: Bool { room == self }

  /// The server's own channel of a room, or of somebody in it.
  package var isOfRoom: Bool { room.map { $0 != self } ?? false }

  /// Of one participant: whoever knows the name may subscribe to it, and it is there only as long as the participant.
  package var isInbox: Bool { isOfRoom && text.dropFirst(Self.roomPrefix.count).split(separator: "/").dropFirst().first == "inbox" }
}

extension ChannelOptions {
  /// Of what the server tells participants: enough for one who comes back within its grace.
  static let room = {
    var options = ChannelOptions()
    options.history = 1000
    options.age = .seconds(60)
    return options
  }()
}

extension Draft {
  /// Whether somebody would take it for what a participant said: an object with the member `from`. Whatever its content type, which
  /// event streams do not tell. What looks like an object and cannot be read here may be one elsewhere: parsers differ.
  internal var hasSpeaker: Bool {
    guard kind == .text else { return false }
    let text = payload.trimmingJSONSpace
    guard text.first == UInt8(ascii: "{"), text.last == UInt8(ascii: "}"), text.contains(UInt8(ascii: "\"")) else { return false }
    var limits = JSONLimits()
    (limits.bytes, limits.values) = (payload.count, .max)
    guard let json = try? JSON(parsing: payload.bytes, limits: limits) else { return true }
    return json["from"] != nil
  }
}

extension Slice {
  /// Without the white space that may stand around JSON (RFC 8259 §2).
  fileprivate var trimmingJSONSpace: ArraySlice<UInt8> {
    let isSpace = { (byte: UInt8) in byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D }
    let rest = array.drop(while: isSpace)
    return rest.prefix(upTo: rest.lastIndex { !isSpace($0) }.map { $0 + 1 } ?? rest.startIndex)
  }
}

// What a room's home, and nobody else, does with its channels.
extension MessageHub {
  /// Puts what a participant has said into the chat.
  package func say(_ draft: Draft, in chat: ChannelName) { send(draft, to: chat) { _ in } }

  /// Makes the channel where it is not there. Only at its home.
  /// - Returns: false beyond `channels.maximum`.
  package func open(_ name: ChannelName) -> Bool {
    discarded.remove(name)
    if channels[name] != nil { return true }
    guard hasSpace else { return false }
    make(name, configuration.options(of: name))
    return true
  }

  /// Where a channel of this home stands.
  package func cursor(of name: ChannelName) -> Cursor? { channels[name]?.log.cursor }

  /// Whether somebody is subscribed, on any worker, or was until a moment ago.
  package func isWatched(_ name: ChannelName) -> Bool {
    channels[name].map { !$0.log.subscriptions.isEmpty || !$0.replicas.isEmpty } ?? false
  }

  /// Lets the channel go once nobody is subscribed.
  /// - Parameter hasLastWords: they are still heard by who comes back to listen, for a while.
  package func discard(_ name: ChannelName, hasLastWords: Bool = true) {
    if !hasLastWords, !isWatched(name) { return forget(name) }
    discarded.insert(name)
    context.schedule(after: ChannelOptions.room.age) { [weak self] in
      guard let self, self.discarded.remove(name) != nil else { return }
      if self.isWatched(name) { self.discard(name) } else { self.forget(name) }
    }
  }
}
