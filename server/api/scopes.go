package api

import (
	"strings"

	"github.com/dockreeve/dockreeve/api/dockreeve/v1/dockreevev1connect"
)

// The scopes of pipelines' tokens.
const (
	ScopeImages     = "images"     // hand in scans, ask for verdicts, record gates
	ScopeGovernance = "governance" // hand in snapshots and bills, read what was judged
)

// Scopes are all there are.
func Scopes() []string { return []string{ScopeImages, ScopeGovernance} }

// ScopeOf says which scope a pipeline's token needs to call a path; "" = no such token
// may. What changes settings, alerts, reviews or rights, and what makes credentials, is
// for people.
func ScopeOf(path string) string {
	switch path {
	case dockreevev1connect.ImageServiceSubmitScanProcedure, dockreevev1connect.ImageServiceGetVerdictProcedure, dockreevev1connect.ImageServiceRecordGateProcedure:
		return ScopeImages
	case dockreevev1connect.GovernanceServiceSubmitSnapshotProcedure, dockreevev1connect.GovernanceServiceSubmitChargesProcedure,
		dockreevev1connect.GovernanceServiceGetGovernanceProcedure, dockreevev1connect.GovernanceServiceListGovernanceProcedure,
		dockreevev1connect.GovernanceServiceGetGovernanceClusterProcedure, dockreevev1connect.GovernanceServiceGetCostProcedure,
		dockreevev1connect.GovernanceServiceGetComplianceProcedure, dockreevev1connect.GovernanceServiceListReviewsProcedure,
		dockreevev1connect.GovernanceServiceGetEvidenceProcedure:
		return ScopeGovernance
	}
	if strings.HasPrefix(path, "/reports/") {
		return ScopeGovernance
	}
	return ""
}
