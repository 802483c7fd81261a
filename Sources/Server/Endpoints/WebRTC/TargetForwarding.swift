internal import MartletMedia

/// Which frames of a scalable source one viewer is sent: those of a decode target. Another target begins where a frame says that it can
/// be begun, and where its chain is whole: all that the frame needs has been sent (AV1 RTP specification §4.4).
internal struct TargetForwarding {
  internal enum Verdict: Equatable { case send(endsPicture: Bool), leaveOut }

  /// What is sent, and what takes over as soon as it can.
  internal private(set) var present: Int?
  internal var wanted: Int
  private var newest: UInt16?
  /// Of the last 64 frames, the newest in the lowest bit: for which it is known whether they go, and those that do.
  private var decided: UInt64 = 0
  private var sent: UInt64 = 0

  private static let memory = 64

  internal init(wanted: Int) { self.wanted = wanted }

  /// Whether the target that is wanted has to wait for a key frame, as far as is known.
  internal func needsKeyFrame(_ scalability: Scalability) -> Bool {
    guard let present, scalability.targets.indices.contains(present), scalability.targets.indices.contains(wanted) else { return true }
    return scalability.targets[present].chain != scalability.targets[wanted].chain
  }

  internal mutating func decide(_ frame: ScalableFrame, _ scalability: Scalability) -> Verdict {
    guard let age = advance(to: frame.number) else { return .leaveOut }
    let bit: UInt64 = 1 << UInt64(age)
    if decided & bit == 0 {
      decided |= bit
      if age == 0 { change(at: frame, scalability) }
      if let present, frame.isPart(of: present) { sent |= bit }
    }
    guard sent & bit != 0, let present, scalability.targets.indices.contains(present) else { return .leaveOut }
    return .send(endsPicture: frame.isEnd && frame.spatial == scalability.targets[present].spatial)
  }

  /// How many frames ago this one was; `nil` for one that is forgotten.
  private mutating func advance(to number: UInt16) -> Int? {
    guard let newest else {
      self.newest = number
      return 0
    }
    let distance = Int(Int16(bitPattern: number &- newest))
    guard distance > 0 else { return -distance < Self.memory ? -distance : nil }
    decided = distance < Self.memory ? decided << UInt64(distance) : 0
    sent = distance < Self.memory ? sent << UInt64(distance) : 0
    self.newest = number
    return 0
  }

  private mutating func change(at frame: ScalableFrame, _ scalability: Scalability) {
    guard present != wanted, scalability.targets.indices.contains(wanted), frame.begins(wanted) else { return }
    let difference = frame.difference(of: scalability.targets[wanted].chain)
    guard difference == 0 || difference < Self.memory && sent & 1 << UInt64(difference) != 0 else { return }
    present = wanted
  }
}
