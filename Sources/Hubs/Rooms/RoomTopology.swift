/// Who is connected to whom.
package enum RoomTopology: Equatable, Sendable {
  /// Each to each.
  case mesh
  /// Each to one of them, who passes everything on.
  case supernode(ParticipantID)
  /// Each to the server.
  case sfu

  /// What a room is asked to be.
  package enum Mode: String, Sendable, CaseIterable { case auto, mesh, supernode, sfu }

  package var name: String {
    switch self {
    case .mesh: "mesh"
    case .supernode: "supernode"
    case .sfu: "sfu"
    }
  }

  package var supernode: ParticipantID? { if case .supernode(let id) = self { id } else { nil } }
}

/// What `auto` decides by: how many there are, what they can send, and who cannot reach whom.
package struct TopologyChoice: Sendable {
  package struct Member: Sendable {
    package let id: ParticipantID
    /// `nil` while it has not said.
    package let uplink: Uplink?
    /// How many of the others it could not reach.
    package let failures: Int
    /// It connects to each of the others, and to nothing else.
    package let isMeshOnly: Bool
    /// It is connected to the server, by another protocol.
    package let isStream: Bool
    /// It can pass on what others publish.
    package let canRelay: Bool

    package init(
      id: ParticipantID, uplink: Uplink?, failures: Int, isMeshOnly: Bool = false, isStream: Bool = false, canRelay: Bool = true
    ) {
      self.id = id
      self.uplink = uplink
      self.failures = failures
      self.isMeshOnly = isMeshOnly
      self.isStream = isStream
      self.canRelay = canRelay
    }
  }

  package let meshLimit: Int
  /// The server passes media.
  package let hasServer: Bool

  /// What one participant sends to another: a picture of a grid, and sound.
  package static let bitsPerStream = 600_000

  package init(meshLimit: Int, hasServer: Bool) {
    self.meshLimit = meshLimit
    self.hasServer = hasServer
  }

  /// Where few send to many, `auto` leaves the sending to the server, which also sees to it that nobody else does.
  ///
  /// - Parameters:
  ///   - present: a room does not go back to a mesh for one who left: only below the limit by one.
  ///   - named: the supernode that a moderator chose.
  package func topology(
    _ options: RoomOptions, _ members: [Member], present: RoomTopology, named: ParticipantID?
  ) -> RoomTopology {
    if members.contains(where: \.isMeshOnly) { return .mesh }
    if hasServer, members.contains(where: \.isStream) { return .sfu }
    switch options.topology {
    case .mesh: return .mesh
    case .sfu: return hasServer ? .sfu : supernode(members, present, named) ?? .mesh
    case .supernode: return supernode(members, present, named) ?? .mesh
    case .auto: if hasServer, options.publish != .everyone { return .sfu }
    }
    let limit = present == .mesh ? meshLimit : meshLimit - 1
    let isReachable = !members.contains { $0.failures > 0 }
    let canSend = members.allSatisfy { $0.uplink?.carries((members.count - 1) * Self.bitsPerStream) ?? true }
    if members.count <= limit, isReachable, canSend || members.count <= 2 { return .mesh }
    if hasServer { return .sfu }
    return supernode(members, present, named) ?? .mesh
  }

  /// The one that was named, the one that is, or the one with the best uplink that reaches everybody.
  private func supernode(_ members: [Member], _ present: RoomTopology, _ named: ParticipantID?) -> RoomTopology? {
    let relays = members.filter(\.canRelay)
    if let named, relays.contains(where: { $0.id == named }) { return .supernode(named) }
    if let id = present.supernode, relays.contains(where: { $0.id == id && $0.failures == 0 }) { return present }
    let best = relays.max { a, b in (-a.failures, a.uplink?.bitrate ?? 0) < (-b.failures, b.uplink?.bitrate ?? 0) }
    return members.count > 1 ? best.map { .supernode($0.id) } : nil
  }
}
