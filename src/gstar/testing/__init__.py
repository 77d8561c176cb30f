"""What a plug-in must promise: contracts that every learner, policy and experience passes."""
