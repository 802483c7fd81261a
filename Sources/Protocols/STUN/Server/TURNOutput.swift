package import MartletPrimitives

/// What the driver of a `TURNServer` is to do, in this order.
package enum TURNOutput: Sendable {
  /// A message for a client.
  case transmit([UInt8], to: TURNFlow)
  /// Open a socket and answer with `relayDidOpen` or `relayDidFail`.
  case open(TURNRelayRequest)
  /// Close it; nothing will be heard of it again.
  case close(TURNRelayID)
  /// Connect to a peer, from the relay's address, and say `connectionDidOpen` or `connectionDidClose`.
  case connect(UInt32, from: TURNRelayID, to: SocketAddress)
  /// Close that connection, then say `connectionDidClose`.
  case disconnect(UInt32)
  /// Ask the worker that has the connection to `claimConnection`, then `answer` here.
  case bind(TURNConnectionBind)
  case event(TURNServerEvent)
}

/// A socket that an allocation needs.
package struct TURNRelayRequest: Sendable {
  package enum Source: Equatable, Sendable {
    /// To be bound to this port.
    case port(UInt16)
    /// The same, and the next port with it, to be kept for half a minute for whoever has the token (RFC 8656 §7.2).
    case pair(UInt16, token: UInt64)
    /// One that was kept.
    case reserved(token: UInt64)
  }

  package let id: TURNRelayID
  package let transport: TURNRelayTransport
  package let family: AddressFamily
  package let source: Source
  /// Whom quotas count.
  package let user: String
  package let client: IPAddress
}

/// Why a relay could not be opened.
package enum TURNRelayFailure: Equatable, Sendable {
  /// Another port may be free.
  case portTaken
  /// This machine has no address of the family.
  case noAddress
  /// The user, the address or the server has as many as it may.
  case quota
  /// No sockets are left, or the token is none.
  case unavailable
}

/// What is worth telling: the log, metrics, webhooks.
package enum TURNServerEvent: Equatable, Sendable {
  case allocated(TURNRelayID)
  /// `TURNServer.report` answers for it until the next `pollOutput`.
  case ended(TURNRelayID, TURNAllocationEnd)
  case refused(STUNErrorCode, STUNMethod, from: TURNFlow, user: String?)
}

package enum TURNAllocationEnd: String, Equatable, Sendable {
  /// The client gave it back.
  case released
  /// It was not refreshed.
  case expired
  /// Its connection ended.
  case disconnected
  /// An administrator, or the server stops.
  case closed
}
