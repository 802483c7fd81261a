internal import MartletRooms

/// Which cameras are passed on where only some may be: those of who spoke last. Screens, and what a viewer has pinned, come beside them.
internal enum LastSpeakers {
  internal struct Candidate {
    let participant: ParticipantID
    let isCamera: Bool
    let isPinned: Bool
  }

  /// - Parameters:
  ///   - limit: cameras; `nil` for all.
  ///   - speakers: who spoke last is first. Behind them comes who has not spoken yet, in the order of the names.
  /// - Returns: for each candidate whether it is passed on.
  internal static func choose(_ candidates: [Candidate], limit: Int?, speakers: [ParticipantID]) -> [Bool] {
    guard let limit else { return candidates.map { _ in true } }
    func place(_ index: Int) -> (Int, String) {
      let participant = candidates[index].participant
      return (speakers.firstIndex(of: participant) ?? speakers.count, participant.text)
    }
    let cameras = candidates.indices.filter { candidates[$0].isCamera && !candidates[$0].isPinned }
    var isChosen = candidates.map { !$0.isCamera || $0.isPinned }
    for index in cameras.sorted(by: { place($0) < place($1) }).prefix(limit) { isChosen[index] = true }
    return isChosen
  }
}
