package import MartletPrimitives
package import MartletStorage

/// How the channels of one namespace behave.
package struct ChannelOptions: Equatable, Sendable {
  /// Messages kept for subscribers that come back, and for history.
  package var history = 1000
  package var age = TimeSpan.seconds(300)
  package var bytes = 1 << 20
  /// Kept on disk: neither an offset nor a message is lost when the server is killed.
  package var durable = false
  /// Who is subscribed is known, and comings and goings are told.
  package var presence = false
  /// Binary messages are compressed for connections that take it; most are media, which grows.
  package var compressesBinary = false
  package init() {}
}

/// What an operator may set for channels; each field is a key of the `channels` section.
package struct ChannelConfiguration: Equatable, Sendable {
  /// Of channels without a namespace of their own here.
  package var defaults = ChannelOptions()
  package var namespaces: [String: ChannelOptions] = [:]
  package var maximum = 100_000
  /// Bytes of one message.
  package var messageBytes = 256 << 10
  /// Subscriptions of one connection.
  package var subscriptions = 256
  /// Connections of one user (the `sub` of its tokens); 0 is no limit.
  package var userConnections = 0
  /// A subscriber that takes nothing for this long, while something waits, is closed.
  package var stuck = TimeSpan.seconds(15)
  /// How long a channel without subscribers and without history remembers its numbering.
  package var idle = TimeSpan.seconds(600)
  /// The file of durable channels; empty is `channels.db` in the server's state folder.
  package var path = ""
  package var synchronous = MessageStore.Synchronous.normal
  package init() {}

  package var hasDurable: Bool { defaults.durable || namespaces.values.contains(where: \.durable) }

  package func options(of name: ChannelName) -> ChannelOptions {
    name.isOfRoom ? .room : namespaces[String(name.namespace)] ?? defaults
  }
}
