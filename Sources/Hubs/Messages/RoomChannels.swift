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

// What a room's home, and nobody else, does with its channels.
extension MessageHub {
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

  /// Lets the channel go once nobody is subscribed: what was said last is still heard.
  package func discard(_ name: ChannelName) {
    discarded.insert(name)
    context.schedule(after: ChannelOptions.room.age) { [weak self] in
      guard let self, self.discarded.remove(name) != nil else { return }
      if self.isWatched(name) { self.discard(name) } else { self.forget(name) }
    }
  }
}
