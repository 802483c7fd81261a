internal import MartletIO
internal import MartletPrimitives

/// A channel as it stands at its home.
package struct ChannelSummary: Sendable {
  package let name: ChannelName
  package let cursor: Cursor
  package let messages: Int
  package let bytes: Int
  package let published: Int
  package let members: Int
}

/// What is asked of a channel's home, from any worker.
extension MessageHub {
  /// The newest messages behind a cursor, or the newest ones.
  package struct History: Sendable {
    package let messages: [Message]
    package let cursor: Cursor
    /// Messages behind the cursor are gone.
    package let lost: Bool
  }

  package func history(of name: ChannelName, _ start: SubscriptionStart, limit: Int, then: @escaping Answer<History>) {
    ask(name) { channel in
      let log = channel.log
      let resumption = log.resolve(start)
      return History(messages: log.messages(after: resumption.next - 1, limit: limit), cursor: log.cursor, lost: resumption.lost)
    } then: {
      then($0)
    }
  }

  package func presence(of name: ChannelName, then: @escaping Answer<[Member]>) {
    guard configuration.options(of: name).presence else { return then(.failure(.noPresence)) }
    ask(name) { channel in
      channel.sortedMembers
    } then: {
      then($0)
    }
  }

  /// The channels whose home is here.
  package var localChannels: [ChannelSummary] { channels.values.map(\.summary) }

  package func summary(of name: ChannelName) -> ChannelSummary? { channels[name]?.summary }

  /// Asks the home of a channel.
  internal func ask<Value: Sendable>(
    _ name: ChannelName, _ question: @escaping @Sendable (Channel) -> Value, then: @escaping Answer<Value>
  ) {
    let home = homeLoop(of: name)
    guard home !== context.loop else { return withChannel(name) { then($0.map(question)) } }
    context.ask(home) { context, answer in
      context.service(MessageHub.self).withChannel(name) { answer($0.map(question)) }
    } then: { answer in
      then(answer)
    }
  }
}

extension Channel {
  fileprivate var summary: ChannelSummary {
    ChannelSummary(
      name: log.name, cursor: log.cursor, messages: log.head - log.base + 1, bytes: log.bytes, published: published, members: memberCount)
  }
}
