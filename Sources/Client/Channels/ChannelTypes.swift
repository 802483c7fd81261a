/// What a channel's message carries.
public enum ChannelContent: Sendable, Equatable {
  case text(String)
  /// JSON text (RFC 8259) of the type `application/json`.
  case json(String)
  case binary([UInt8])
}

/// A message of a channel.
public struct ChannelMessage: Sendable, Equatable {
  public let channel: String
  /// Its place, `EPOCH:OFFSET`: what `since` takes, on any transport.
  public let cursor: String
  /// When the server took it, in milliseconds since 1970.
  public let time: Int64
  public let content: ChannelContent
  /// A MIME type; empty is plain text, or octets.
  public let type: String
  /// A name to dispatch on; empty is none.
  public let event: String
  /// `sub` of the publisher's token, when it had one.
  public let user: String?

  /// The content when it is text or JSON.
  public var text: String? {
    switch content {
    case .text(let text), .json(let text): text
    case .binary: nil
    }
  }
}

/// Somebody who is subscribed to a channel that keeps presence. One user may be there with several connections.
public struct ChannelMember: Sendable, Equatable {
  /// Of the connection.
  public let client: String
  public let user: String?
  /// What the member says of itself, JSON text.
  public let info: String?
  /// `ws`, `sse`, `socket.io`, …
  public let transport: String
  /// In milliseconds since 1970.
  public let since: Int64
}

/// What a subscription brings.
public enum ChannelEvent: Sendable, Equatable {
  case message(ChannelMessage)
  /// Messages before the next one are gone: the channel did not keep them for as long as this client was away.
  /// - Parameter cursor: behind which it goes on.
  case lost(cursor: String)
  /// Somebody came or left; only when asked for with `presence`.
  case presence(joined: Bool, ChannelMember)
  /// The connection is lost; it is being made again.
  case interrupted
  /// Subscribed again, behind the last message. Comings and goings meanwhile were not told: ask `presence` for who is there.
  case resumed
}

/// A part of a channel's past.
public struct ChannelHistory: Sendable, Equatable {
  /// Where the channel is now.
  public let cursor: String
  /// Messages behind the cursor that was asked for are gone.
  public let isLost: Bool
  /// The oldest first.
  public let messages: [ChannelMessage]
}

/// Why something was not done on a channel. Each description is a sentence for a person.
public enum ChannelError: Error, Equatable, Sendable {
  /// The URL or an argument cannot be used.
  case invalid(String)
  /// The server's answer to a command, with a code of docs/channels.md. From 200 on the same may succeed later.
  case refused(code: Int, String)
  /// The server closed the connection and does not want it again: codes from 4500 on; or the handshake was refused, with an
  /// HTTP status from 400 to 499.
  case rejected(code: Int, String)
  /// There was no answer within `ChannelClient.Options.timeout`; it may have been done nevertheless.
  case timedOut(String)
  /// More requests wait than `ChannelClient.Options` allows.
  case overloaded
  /// Closed on this side.
  case closed
  case cancelled

  /// The same may succeed later.
  public var mayRetry: Bool {
    switch self {
    case .refused(let code, _): code >= 200
    case .timedOut, .overloaded: true
    case .invalid, .rejected, .closed, .cancelled: false
    }
  }
}

extension ChannelError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .invalid(let reason), .timedOut(let reason): reason
    case .refused(let code, let reason), .rejected(let code, let reason): "\(code): \(reason)"
    case .overloaded: "too many requests wait for the server"
    case .closed: "the channel client is closed"
    case .cancelled: "cancelled"
    }
  }
}

extension ChannelError: CancellableFailure {}
