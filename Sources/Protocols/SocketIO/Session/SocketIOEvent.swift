package import MartletPrimitives

/// An event with its arguments. Binary ones are attachments; their place holds a placeholder.
package struct SocketIOEvent: Equatable, Sendable {
  package var name: String
  package var arguments: [JSON]
  package var attachments: [Slice]
  /// The client waits for an acknowledgement with this number.
  package var id: UInt64?

  package init(_ name: String, _ arguments: [JSON] = [], attachments: [Slice] = [], id: UInt64? = nil) {
    self.name = name
    self.arguments = arguments
    self.attachments = attachments
    self.id = id
  }

  /// As a packet of a namespace.
  package func packet(in namespace: String) -> SocketIOPacket {
    SocketIOPacket(.event, namespace: namespace, id: id, data: .array([.string(name)] + arguments), attachments: attachments)
  }
}

/// What an acknowledgement carries.
package struct SocketIOAnswer: Equatable, Sendable {
  package var arguments: [JSON]
  package var attachments: [Slice]

  package init(_ arguments: [JSON] = [], attachments: [Slice] = []) {
    self.arguments = arguments
    self.attachments = attachments
  }
}

/// What a client sends to get back the session it had (connection state recovery).
package struct SocketIORecovery: Equatable, Sendable {
  /// The private id that its last connection was given.
  package var pid: String
  /// Of the last event that it has.
  package var offset: String

  package init(pid: String, offset: String) {
    self.pid = pid
    self.offset = offset
  }
}
