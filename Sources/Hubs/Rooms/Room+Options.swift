internal import MartletPrimitives

// What kind of room it is, and what that lets its participants do.
extension Room {
  /// By an administrator, or a moderator's `topology`. Who is in it stays, also beyond a lower capacity.
  package mutating func configure(_ options: RoomOptions) {
    guard options != self.options else { return }
    changeMay { $0.options = options }
    raise(.configured(options))
    raise(.toAll(.options(options)))
    if !options.hasLobby { for waiting in exchange(&lobby, with: []) { letIn(waiting) } }
    choose()
  }

  mutating func letIn(_ participant: Participant) {
    raise(.to(participant.key, .admitted))
    admit(participant)
  }

  package func may(_ participant: Participant) -> [RoomPermission] {
    RoomPermission.allCases.filter { permission in
      switch permission {
      case .publish: participant.isStream ? isEncoderWelcome(participant.grant) : mayPublish(participant.grant)
      case .moderate: participant.grant.isModerator
      }
    }
  }

  private func mayPublish(_ grant: RoomGrant) -> Bool {
    switch options.publish {
    case .everyone: grant.mayPublish
    case .moderators: grant.mayPublish && grant.isModerator
    case .nobody: false
    }
  }

  /// Encoders are a moderator's where not everybody publishes: they are what a webinar shows.
  func isEncoderWelcome(_ grant: RoomGrant) -> Bool { options.publish == .everyone || grant.isModerator }

  func silenced(_ id: ParticipantID) -> JSON {
    .array(participants.first { $0.id == id }?.silenced.map { .string($0.rawValue) } ?? [])
  }

  /// Tells those who may more or less after a change than before.
  mutating func changeMay(_ change: (inout Room) -> Void) {
    let before = participants.map { may($0) }
    change(&self)
    for (participant, old) in zip(participants, before) {
      let now = may(participant)
      guard now != old else { continue }
      raise(.to(participant.key, .may(now)))
      if old.contains(.publish), !now.contains(.publish) { raise(.restricted(participant)) }
    }
  }
}
